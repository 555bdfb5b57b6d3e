-- The digest of a month of sums by day: it is equal before the month's hours become days and after.
SELECT
    count(),
    groupBitXor(cityHash64(
        account_id, day, project_id, key_id, model, served_model, provider, endpoint, stream, client, status, outcome,
        error_code, block_month, sums
    ))
FROM (
    SELECT
        account_id, toStartOfDay(hour, 'UTC') AS day, project_id, key_id, model, served_model, provider, endpoint, stream,
        client, status, outcome, error_code, block_month, sumForEach(measures) AS sums
    FROM {table:Identifier}
    WHERE toYYYYMM(until) = {month:UInt32}
    GROUP BY ALL
)
