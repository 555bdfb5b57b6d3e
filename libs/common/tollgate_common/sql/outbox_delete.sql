-- They are in Kafka, committed.
DELETE FROM outbox WHERE id = ANY(%(ids)b)
