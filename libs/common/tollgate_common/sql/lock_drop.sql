-- Drop a lock's table that a process created or renamed too late.
DROP TABLE {table:Identifier}
