-- Once the month has moved, or could not.
DROP TABLE IF EXISTS {table:Identifier}
