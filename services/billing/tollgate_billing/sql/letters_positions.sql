-- Read the next offset to store of each dead-letter topic.
SELECT topic, partition, max("offset") + 1 AS next FROM dead_letters GROUP BY topic, partition
