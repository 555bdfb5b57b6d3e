-- Sums by hour since a moment. Asked twice, with the projection `by_hour` and without: both must say the same.
SELECT toStartOfHour(at) AS hour, countIf(kind = 'closed'), countIf(kind = 'used'), sum(amount_nano)
FROM request_events
WHERE toStartOfHour(at) >= fromUnixTimestamp({since_s:Int64})
GROUP BY hour
ORDER BY hour
