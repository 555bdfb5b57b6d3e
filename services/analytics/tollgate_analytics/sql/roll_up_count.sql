-- The number of rows that a roll-up would sum.
SELECT count()
FROM request_events
WHERE insert_by >= fromUnixTimestamp64Milli({since_ms:Int64}, 'UTC')
    AND insert_by < fromUnixTimestamp64Milli({until_ms:Int64}, 'UTC')
