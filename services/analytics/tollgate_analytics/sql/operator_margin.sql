-- For operators, of all accounts: what was sold, what the providers ask for it, and how requests ended, by one of
-- account, model, served model and provider, over whole hours. `known_nano` is the revenue of what has a known cost:
-- only that can be set against the cost.
SELECT
    toString({group_1:Identifier}) AS name,
    countIf(kind = 'closed') AS requests,
    countIf(kind = 'closed' AND status >= 400) AS errors,
    sum(attempts) AS tries,
    sum(amount_nano) AS revenue_nano,
    sumIf(amount_nano, isNotNull(provider_cost_nano)) AS known_nano,
    ifNull(sum(provider_cost_nano), 0) AS cost_nano
FROM request_events
WHERE toStartOfHour(at) >= fromUnixTimestamp64Milli({start_ms:Int64}, 'UTC')
    AND toStartOfHour(at) < fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC')
GROUP BY name
HAVING requests > 0 OR revenue_nano != 0
ORDER BY revenue_nano DESC, name
LIMIT {limit:UInt32}
