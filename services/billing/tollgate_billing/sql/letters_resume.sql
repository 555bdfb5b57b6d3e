-- Where to go on reading a dead-letter topic: every record of it has a row, written in its order.
SELECT max("offset") + 1 AS next FROM dead_letters WHERE topic = %(topic)s AND partition = %(partition)s
