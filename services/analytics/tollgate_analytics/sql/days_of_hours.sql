-- Sum a month of `usage_hours` by day, into the staging table that will replace the month.
INSERT INTO {table:Identifier} (
    account_id, hour, project_id, key_id, model, served_model, provider, endpoint, stream, client, status, outcome,
    error_code, block_month, until, measures
)
SELECT
    account_id,
    toStartOfDay(hour, 'UTC') AS day,
    project_id, key_id, model, served_model, provider, endpoint, stream, client, status, outcome, error_code, block_month,
    max(until) AS newest,
    sumForEach(measures) AS sums
FROM usage_hours
WHERE toYYYYMM(until) = {month:UInt32}
GROUP BY account_id, day, project_id, key_id, model, served_model, provider, endpoint, stream, client, status, outcome,
    error_code, block_month
