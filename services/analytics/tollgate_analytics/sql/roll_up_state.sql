-- Up to when rows are rolled up, by the time until which each might be inserted; the first such time of those that are
-- not; and the engine's clock, which decided whether they were inserted in time.
WITH (SELECT max(until) FROM usage_hours) AS rolled_up
SELECT rolled_up, minOrNull(insert_by), now64(3, 'UTC')
FROM request_events
WHERE kind IN ('closed', 'used') AND insert_by >= rolled_up
