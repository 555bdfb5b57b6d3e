-- Sums of the rows that were inserted between two moments, by hour and dimension. In order, so that a repetition under the
-- same token is the same block; an engine drops only such.
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
