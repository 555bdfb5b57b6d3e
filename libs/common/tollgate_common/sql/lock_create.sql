-- Create the first state of a lock. Engine Null, because only the table's name matters.
CREATE TABLE IF NOT EXISTS {table:Identifier} (unused UInt8) ENGINE = Null
