-- The rows of a month of ingest go, all at once.
ALTER TABLE request_events DROP PARTITION {month:UInt32}
