-- The sums of `reconciliation_hours.sql`, computed from the rows.
SELECT toStartOfHour(at, 'UTC') AS hour, countIf(kind = 'closed'), countIf(kind = 'used'), sum(amount_nano)
FROM request_events
WHERE kind IN ('closed', 'used')
    AND at >= toStartOfHour(fromUnixTimestamp64Milli({since_ms:Int64}, 'UTC'))
    AND insert_by < fromUnixTimestamp64Milli({rolled_up_ms:Int64}, 'UTC')
GROUP BY hour
ORDER BY hour
