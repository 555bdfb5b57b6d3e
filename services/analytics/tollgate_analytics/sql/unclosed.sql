-- Requests that were opened between two moments and never closed, the oldest first, with what they were charged all the
-- same. The partitions named are those that are consumed far enough to tell.
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
