-- For operators, over all accounts and full hours: revenue, the providers' cost and the outcomes of requests, by
-- account, model, served model or provider. The sums come from `usage_hours`, and from the rows for what is not rolled
-- up yet. `measures[10]` is the revenue of requests with a known cost; only that revenue can be compared with the cost.
WITH
    (SELECT max(until) FROM usage_hours) AS rolled_up,
    fromUnixTimestamp64Milli({start_ms:Int64}, 'UTC') AS start,
    fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC') AS end
SELECT toString({group_1:Identifier}) AS name, sumForEach(measures) AS sums
FROM (
    SELECT account_id, model, served_model, provider, measures
    FROM usage_hours
    WHERE hour >= start AND hour < end AND until <= rolled_up
    UNION ALL
    SELECT account_id, model, served_model, provider, measures
    FROM request_events
    WHERE kind IN ('closed', 'used') AND at >= start AND at < end AND insert_by >= rolled_up
)
GROUP BY name
HAVING sums[1] > 0 OR sums[8] != 0
ORDER BY sums[8] DESC, name
LIMIT {limit:UInt32}
