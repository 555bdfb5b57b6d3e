-- Latency percentiles of an account's requests by time and dimensions, from the rows. A stored sketch for each group
-- and hour could be added up, but it was one of the two most expensive parts of each insert. Dimensions and filters are
-- bound as in `usage.sql`. A t-digest uses bounded memory for each group, and is most accurate at the extremes, where
-- it matters.
WITH
    -- if status_class
    concat(toString(intDiv(status, 100)), 'xx') AS status_class,
    -- end
    '' AS nothing
SELECT
    toUInt32(0)
        -- if granularity
        + toUnixTimestamp(toDateTime(dateTrunc({granularity:String}, at, {time_zone:String}), {time_zone:String}))
        -- end
        AS bucket,
    toString({group_1:Identifier}) AS g1,
    toString({group_2:Identifier}) AS g2,
    toString({group_3:Identifier}) AS g3,
    toString({group_4:Identifier}) AS g4,
    toString({group_5:Identifier}) AS g5,
    toString({group_6:Identifier}) AS g6,
    quantilesTDigest(0.5, 0.9, 0.95, 0.99)(latency_ms),
    quantilesTDigestIf(0.5, 0.9, 0.95, 0.99)(assumeNotNull(first_token_ms), isNotNull(first_token_ms)),
    count(first_token_ms)
FROM request_events
WHERE account_id = {account_id:String}
    AND ({only_key:String} = '' OR key_id = {only_key:String})
    AND ({only_project:String} = '' OR project_id = {only_project:String})
    AND kind = 'closed'
    AND at >= fromUnixTimestamp64Milli({start_ms:Int64}, 'UTC')
    AND at < fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC')
    -- if rolled_up_ms
    AND (insert_by < fromUnixTimestamp64Milli({rolled_up_ms:Int64}, 'UTC') OR offset < {closed_end:UInt64})
    -- end
    AND has({values_1:Array(String)}, toString({filter_1:Identifier}))
    AND has({values_2:Array(String)}, toString({filter_2:Identifier}))
    AND has({values_3:Array(String)}, toString({filter_3:Identifier}))
    AND has({values_4:Array(String)}, toString({filter_4:Identifier}))
    AND has({values_5:Array(String)}, toString({filter_5:Identifier}))
    AND has({values_6:Array(String)}, toString({filter_6:Identifier}))
GROUP BY ALL
