-- The digest of the sums of a month of ingest, by hour. `digest_rows.sql` computes the same from the rows.
SELECT
    count(),
    groupBitXor(cityHash64(
        account_id, hour, project_id, key_id, model, served_model, provider, endpoint, stream, client, status, outcome,
        error_code, sums
    ))
FROM (
    SELECT
        account_id, hour, project_id, key_id, model, served_model, provider, endpoint, stream, client, status, outcome,
        error_code, sumForEach(measures) AS sums
    FROM usage_hours
    WHERE block_month = {month:UInt32}
    GROUP BY ALL
)
