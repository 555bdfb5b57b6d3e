-- Sum the rows that were inserted between two times, by hour and dimension. The result is ordered, so that a retry
-- under the same token is the same block. The engine deduplicates identical blocks only.
INSERT INTO usage_hours (
    account_id, hour, project_id, key_id, model, served_model, provider, endpoint, stream, client, status, outcome,
    error_code, block_month, until, measures
)
SELECT
    account_id,
    toStartOfHour(at, 'UTC') AS hour,
    project_id, key_id, model, served_model, provider, endpoint, stream, client, status, outcome, error_code, block_month,
    fromUnixTimestamp64Milli({until_ms:Int64}, 'UTC') AS until,
    sumForEach(measures) AS sums
FROM request_events
WHERE kind IN ('closed', 'used')
    AND insert_by >= fromUnixTimestamp64Milli({since_ms:Int64}, 'UTC')
    AND insert_by < fromUnixTimestamp64Milli({until_ms:Int64}, 'UTC')
GROUP BY ALL
ORDER BY ALL
