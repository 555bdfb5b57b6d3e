-- Read the oldest messages. The ids of a key ascend in commit order, because each writer locked the key's row first.
SELECT id, topic, key, version, payload FROM outbox ORDER BY id LIMIT %(limit)s
