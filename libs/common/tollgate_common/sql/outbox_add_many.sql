-- Add messages for other services, in the transaction of the changes that they report.
INSERT INTO outbox (topic, key, version, payload)
SELECT topic, key, version, payload
FROM unnest(%(topics)b::text[], %(keys)b::text[], %(versions)b::bigint[], %(payloads)b::bytea[])
    AS added (topic, key, version, payload)
