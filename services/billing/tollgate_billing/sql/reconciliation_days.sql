-- Sum charges by day since a time. The query runs with and without the projection `daily`; both results must be equal.
SELECT toStartOfDay(at) AS day, count(), sum(amount_nano)
FROM charges
WHERE toStartOfDay(at) >= fromUnixTimestamp({since_s:Int64})
GROUP BY day
ORDER BY day
