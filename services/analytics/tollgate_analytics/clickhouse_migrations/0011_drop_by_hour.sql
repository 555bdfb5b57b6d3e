-- `usage_hours` takes its place. It was the dearest part of an insert.
ALTER TABLE request_events DROP PROJECTION IF EXISTS by_hour
