-- Delete messages that are committed in Kafka.
DELETE FROM outbox WHERE id = ANY(%(ids)b)
