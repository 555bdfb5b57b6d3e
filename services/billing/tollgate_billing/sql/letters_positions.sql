-- How far each dead-letter topic is known.
SELECT topic, partition, max("offset") + 1 AS next FROM dead_letters GROUP BY topic, partition
