-- Drop a staging table after its month was replaced, or could not be.
DROP TABLE IF EXISTS {table:Identifier}
