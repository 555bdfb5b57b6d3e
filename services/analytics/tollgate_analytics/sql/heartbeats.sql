-- The newest heartbeat of each boot; counts only grow. Heartbeats belong to no account, so the key finds them.
SELECT boot_id, argMax(sent, seq) AS newest
FROM request_events
WHERE account_id = '' AND kind = 'heartbeat' AND at >= fromUnixTimestamp64Milli({since_ms:Int64}) AND sent != ''
GROUP BY boot_id
ORDER BY boot_id
