-- Read the ledger's position on each partition of a topic.
SELECT partition, next FROM consumer_offsets WHERE topic = %(topic)s ORDER BY partition
