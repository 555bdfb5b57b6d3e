-- Rows from before `by_hour` get it too, in the background.
ALTER TABLE request_events MATERIALIZE PROJECTION by_hour
