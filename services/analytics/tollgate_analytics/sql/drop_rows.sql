-- Drop the rows of a month of ingest, atomically.
ALTER TABLE request_events DROP PARTITION {month:UInt32}
