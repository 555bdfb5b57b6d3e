-- Sums by day since a moment. Asked twice, with the projection `daily` and without: both must say the same.
SELECT toStartOfDay(at) AS day, count(), sum(amount_nano)
FROM charges
WHERE toStartOfDay(at) >= fromUnixTimestamp({since_s:Int64})
GROUP BY day
ORDER BY day
