-- Read the sequence state of boots. Boots older than the floor are rejected anyway.
SELECT boot_id, high, gaps FROM sequences
WHERE topic = %(topic)s AND partition = %(partition)s AND boot_id >= %(floor)s
