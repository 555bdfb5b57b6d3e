-- The oldest messages. Ids of one key ascend in the order of its commits, because its row was locked before.
SELECT id, topic, key, version, payload FROM outbox ORDER BY id LIMIT %(limit)s
