-- Fence all other consumers of a partition. The statement waits for a predecessor's transaction in flight, because that
-- one has updated the same row, so the returned offset is final.
INSERT INTO consumer_offsets (topic, partition, next, epoch) VALUES (%(topic)s, %(partition)s, %(beginning)s, 1)
ON CONFLICT (topic, partition) DO UPDATE SET epoch = consumer_offsets.epoch + 1
RETURNING next, epoch
