-- Whether a declared block has landed: the rows of one partition's offsets from `start` up to, not including, `end`.
SELECT count()
FROM {table:Identifier}
WHERE topic = {topic:String} AND partition = {partition:UInt16} AND offset >= {start:UInt64} AND offset < {end:UInt64}
