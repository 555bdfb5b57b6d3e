-- Sums of the rolled-up hours since a time: closed requests, charged requests, amount.
SELECT hour, sum(measures[1]), sum(measures[7]), sum(measures[8])
FROM usage_hours
WHERE hour >= toStartOfHour(fromUnixTimestamp64Milli({since_ms:Int64}, 'UTC'))
    AND until <= fromUnixTimestamp64Milli({rolled_up_ms:Int64}, 'UTC')
GROUP BY hour
ORDER BY hour
