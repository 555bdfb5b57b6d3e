-- The sequence state that a sink's own rows prove, boot by boot: the next seq and how many there are below it.
-- Rows from `before` on belong to a block that may still be replayed; they must not count as seen.
SELECT boot_id, max(seq) + 1 AS high, count() AS seen
FROM {table:Identifier}
WHERE topic = {topic:String} AND partition = {partition:UInt16} AND offset < {before:UInt64} AND boot_id >= {floor:String}
GROUP BY boot_id
