-- Requests that were opened between two times and never closed, oldest first, with the amounts they were charged
-- anyway. `partitions` are those that were consumed far enough for the result to be certain.
SELECT
    request_id,
    any(account_id) AS account,
    anyIf(partition, kind = 'opened') AS opened_partition,
    anyIf(boot_id, kind = 'opened') AS opened_by,
    minIf(at, kind = 'opened') AS opened,
    sum(amount_nano) AS charged_nano,
    count() OVER () AS found
FROM request_events
WHERE request_id != '' AND at >= fromUnixTimestamp64Milli({start_ms:Int64})
GROUP BY request_id
HAVING
    countIf(kind = 'opened') > 0
    AND countIf(kind = 'closed') = 0
    AND opened < fromUnixTimestamp64Milli({end_ms:Int64})
    AND opened_partition IN {partitions:Array(UInt16)}
ORDER BY opened, request_id
LIMIT {limit:UInt32}
