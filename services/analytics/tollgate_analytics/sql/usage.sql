-- The usage of one account by time and up to six dimensions, for GET /v1/usage.
--
-- Full hours come from `usage_hours`. The rows provide the rest: data that is not rolled up yet, and the parts of the
-- range before its first and after its last full hour. A query by minute, or by a dimension that `usage_hours` lacks,
-- has no full hours and reads only rows. `rolled_up` bounds the read of `usage_hours`, because a statement sees a table
-- at one point in time (`enable_shared_storage_snapshot_in_query`).
--
-- Planning dominates the time of a small account's query, so each query contains only the parts it needs
-- (`sql_template.py`). Dimensions are bound as identifiers, in slots, each on lines of its own.
--
-- With a snapshot (`snapshot.sql`), later sums and rows are excluded. If `usage_hours` has been emptied since, the rows
-- replace what was rolled up then.
--
-- With `top_groups`, all other groups are summed as one, `is_other`. `measures[8]` is the amount.
WITH
    -- if whole_start_ms
    -- if not rolled_up_ms
    (SELECT max(until) FROM usage_hours) AS rolled_up,
    -- end
    -- if rolled_up_ms
    least(fromUnixTimestamp64Milli({rolled_up_ms:Int64}, 'UTC'), (SELECT max(until) FROM usage_hours)) AS rolled_up,
    -- end
    toDateTime(fromUnixTimestamp64Milli({whole_start_ms:Int64}), 'UTC') AS whole_start,
    toDateTime(fromUnixTimestamp64Milli({whole_end_ms:Int64}), 'UTC') AS whole_end,
    -- end
    fromUnixTimestamp64Milli({start_ms:Int64}, 'UTC') AS start,
    fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC') AS end
SELECT
    toUInt32(0)
        -- if granularity
        + toUnixTimestamp(toDateTime(dateTrunc({granularity:String}, time, {time_zone:String}), {time_zone:String}))
        -- end
        AS bucket,
    -- if top_groups
    NOT has(
        {top_groups:Array(Array(String))},
        [
            toString(by_1)
            , toString(by_2)
            , toString(by_3)
            , toString(by_4)
            , toString(by_5)
            , toString(by_6)
        ]
    ) AS is_other,
    if(is_other, '', toString(by_1)) AS group_1,
    if(is_other, '', toString(by_2)) AS group_2,
    if(is_other, '', toString(by_3)) AS group_3,
    if(is_other, '', toString(by_4)) AS group_4,
    if(is_other, '', toString(by_5)) AS group_5,
    if(is_other, '', toString(by_6)) AS group_6,
    -- end
    -- if not top_groups
    false AS is_other,
    toString(by_1) AS group_1,
    toString(by_2) AS group_2,
    toString(by_3) AS group_3,
    toString(by_4) AS group_4,
    toString(by_5) AS group_5,
    toString(by_6) AS group_6,
    -- end
    sumForEach(measures) AS sums
FROM (
    -- if whole_start_ms
    WITH
        -- if status_class
        concat(toString(intDiv(status, 100)), 'xx') AS status_class,
        -- end
        '' AS nothing
    SELECT
        {group_1:Identifier} AS by_1,
        {group_2:Identifier} AS by_2,
        {group_3:Identifier} AS by_3,
        {group_4:Identifier} AS by_4,
        {group_5:Identifier} AS by_5,
        {group_6:Identifier} AS by_6,
        hour AS time,
        measures
    FROM usage_hours
    WHERE account_id = {account_id:String}
        AND ({only_key:String} = '' OR key_id = {only_key:String})
        AND ({only_project:String} = '' OR project_id = {only_project:String})
        AND hour >= whole_start AND hour < whole_end
        -- if rolled_up_ms
        AND until <= rolled_up
        -- end
        AND has({values_1:Array(String)}, toString({filter_1:Identifier}))
        AND has({values_2:Array(String)}, toString({filter_2:Identifier}))
        AND has({values_3:Array(String)}, toString({filter_3:Identifier}))
        AND has({values_4:Array(String)}, toString({filter_4:Identifier}))
        AND has({values_5:Array(String)}, toString({filter_5:Identifier}))
        AND has({values_6:Array(String)}, toString({filter_6:Identifier}))
    UNION ALL
    -- end
    WITH
        -- if status_class
        concat(toString(intDiv(status, 100)), 'xx') AS status_class,
        -- end
        '' AS nothing
    SELECT
        {group_1:Identifier} AS by_1,
        {group_2:Identifier} AS by_2,
        {group_3:Identifier} AS by_3,
        {group_4:Identifier} AS by_4,
        {group_5:Identifier} AS by_5,
        {group_6:Identifier} AS by_6,
        toStartOfMinute(at) AS time,
        measures
    FROM request_events
    WHERE account_id = {account_id:String}
        AND ({only_key:String} = '' OR key_id = {only_key:String})
        AND ({only_project:String} = '' OR project_id = {only_project:String})
        AND kind IN ('closed', 'used')
        AND at >= start AND at < end
        -- if whole_start_ms
        AND (at < whole_start OR at >= whole_end OR insert_by >= rolled_up)
        -- end
        -- if rolled_up_ms
        AND (
            insert_by < fromUnixTimestamp64Milli({rolled_up_ms:Int64}, 'UTC')
            OR offset < if(kind = 'closed', {closed_end:UInt64}, {used_end:UInt64})
        )
        -- end
        AND has({values_1:Array(String)}, toString({filter_1:Identifier}))
        AND has({values_2:Array(String)}, toString({filter_2:Identifier}))
        AND has({values_3:Array(String)}, toString({filter_3:Identifier}))
        AND has({values_4:Array(String)}, toString({filter_4:Identifier}))
        AND has({values_5:Array(String)}, toString({filter_5:Identifier}))
        AND has({values_6:Array(String)}, toString({filter_6:Identifier}))
)
GROUP BY ALL
ORDER BY bucket, is_other, sums[8] DESC
    , group_1
    , group_2
    , group_3
    , group_4
    , group_5
    , group_6
LIMIT {limit:UInt32} OFFSET {offset:UInt32}
