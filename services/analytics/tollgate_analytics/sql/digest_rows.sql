-- The digest of the rows of a month of ingest, by hour and dimension: the number of sums, and a checksum of all of
-- them. It equals `digest_hours.sql` if no row is lost, duplicated or moved.
SELECT
    count(),
    groupBitXor(cityHash64(
        account_id, hour, project_id, key_id, model, served_model, provider, endpoint, stream, client, status, outcome,
        error_code, sums
    ))
FROM (
    SELECT
        account_id, toStartOfHour(at, 'UTC') AS hour, project_id, key_id, model, served_model, provider, endpoint, stream,
        client, status, outcome, error_code, sumForEach(measures) AS sums
    FROM request_events
    WHERE block_month = {month:UInt32} AND kind IN ('closed', 'used')
    GROUP BY ALL
)
