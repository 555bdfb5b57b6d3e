-- For operators, of all accounts: what was sold, what the providers ask for it, and how requests ended, by one of
-- account, model, served model and provider, over whole hours: from `usage_hours`, and what is not rolled up yet from the
-- rows. Of `measures`, the tenth is the revenue of what has a known cost: only that can be set against the cost.
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
