-- For operators: failed attempts by provider, target and the provider's response, whether the edge then tried another
-- target or returned the error to the client. Few rows have any.
SELECT
    JSONExtractString(attempt, 'provider') AS provider,
    JSONExtractString(attempt, 'target') AS target,
    JSONExtractUInt(attempt, 'status') AS status,
    JSONExtractString(attempt, 'error_code') AS error_code,
    count() AS failed
FROM request_events
ARRAY JOIN JSONExtractArrayRaw(failed_attempts) AS attempt
WHERE kind = 'closed'
    AND failed_attempts != ''
    AND at >= fromUnixTimestamp64Milli({start_ms:Int64}, 'UTC')
    AND at < fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC')
GROUP BY provider, target, status, error_code
ORDER BY failed DESC, provider, target, status, error_code
LIMIT {limit:UInt32}
