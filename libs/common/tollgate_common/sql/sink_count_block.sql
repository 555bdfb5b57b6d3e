-- Count the rows of a declared block: the offsets `[start, end)` of a partition.
SELECT count()
FROM {table:Identifier}
WHERE topic = {topic:String} AND partition = {partition:UInt16} AND offset >= {start:UInt64} AND offset < {end:UInt64}
