-- The progress of the roll-up, as a deadline of inserts; the first such deadline of the rows that are not rolled up;
-- and the engine's clock, which decided whether rows were inserted in time.
WITH (SELECT max(until) FROM usage_hours) AS rolled_up
SELECT rolled_up, minOrNull(insert_by), now64(3, 'UTC')
FROM request_events
WHERE kind IN ('closed', 'used') AND insert_by >= rolled_up
