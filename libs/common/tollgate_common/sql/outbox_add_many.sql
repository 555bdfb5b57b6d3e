-- Messages for other services, in the transaction of the facts that they tell.
INSERT INTO outbox (topic, key, version, payload)
SELECT topic, key, version, payload
FROM unnest(%(topics)s::text[], %(keys)s::text[], %(versions)s::bigint[], %(payloads)s::bytea[])
    AS added (topic, key, version, payload)
