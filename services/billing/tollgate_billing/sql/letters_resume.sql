-- Read the offset to resume a dead-letter topic at. Every record has a row, and rows are written in the order of the
-- records.
SELECT max("offset") + 1 AS next FROM dead_letters WHERE topic = %(topic)s AND partition = %(partition)s
