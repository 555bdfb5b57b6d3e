-- The sequence state of each boot, recovered from a sink's rows: the next seq, and the number of rows below it.
-- Rows at or after `before` belong to a block that may still be replayed, so they do not count as seen.
SELECT boot_id, max(seq) + 1 AS high, count() AS seen
FROM {table:Identifier}
WHERE topic = {topic:String} AND partition = {partition:UInt16} AND offset < {before:UInt64} AND boot_id >= {floor:String}
GROUP BY boot_id
