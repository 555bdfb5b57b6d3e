-- For operators: what each account spent since a whole hour.
SELECT account_id, sum(amount_nano) AS spent_nano
FROM request_events
WHERE toStartOfHour(at) >= fromUnixTimestamp64Milli({start_ms:Int64}, 'UTC')
GROUP BY account_id
HAVING spent_nano > 0
