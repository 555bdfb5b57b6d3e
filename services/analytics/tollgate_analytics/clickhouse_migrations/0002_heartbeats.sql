-- What a heartbeat says: per topic, the next seq of each partition, as JSON. A tail that got lost shows as a difference
-- to what has arrived. Empty in every other row, which costs next to nothing once compressed. Text, not a Map: a row is
-- written for every event there is, and read by nobody but the auditor.
ALTER TABLE request_events ADD COLUMN IF NOT EXISTS sent String CODEC(ZSTD)
