-- For operators: the spend of each account since a full hour. `measures[8]` is the amount.
WITH
    (SELECT max(until) FROM usage_hours) AS rolled_up,
    fromUnixTimestamp64Milli({start_ms:Int64}, 'UTC') AS start
SELECT account_id, sum(amount_nano) AS spent_nano
FROM (
    SELECT account_id, measures[8] AS amount_nano
    FROM usage_hours
    WHERE hour >= start AND until <= rolled_up
    UNION ALL
    SELECT account_id, amount_nano
    FROM request_events
    WHERE kind = 'used' AND at >= start AND insert_by >= rolled_up
)
GROUP BY account_id
HAVING spent_nano > 0
