-- Usage of one account by time and up to six dimensions, as GET /v1/usage asks for it.
--
-- Whole hours come from `usage_hours`. From the rows comes what those cannot tell: what has not been rolled up yet, and
-- what the range has before its first and after its last whole hour. A question about minutes, or by a dimension that
-- `usage_hours` lacks, has no whole hours, so that all of it comes from the rows.
--
-- Dimensions are bound as identifiers, in slots: the engine takes as long to plan a statement that names all fourteen,
-- each with its condition, as to answer it. Each slot has lines of its own, which are left out where it is not used
-- (`slots.py`).
--
-- With `has_top`, groups that are not `named` are added up as one, `is_other`. `measures[8]` is the amount.
WITH
    (SELECT max(until) FROM usage_hours) AS rolled_up,
    fromUnixTimestamp64Milli({start_ms:Int64}, 'UTC') AS start,
    fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC') AS end,
    fromUnixTimestamp64Milli({whole_start_ms:Int64}, 'UTC') AS whole_start,
    fromUnixTimestamp64Milli({whole_end_ms:Int64}, 'UTC') AS whole_end,
    '' AS nothing,
    concat(toString(intDiv(status, 100)), 'xx') AS status_class
SELECT
    multiIf(
        {granularity:String} = 'minute', toUnixTimestamp(time),
        {granularity:String} = 'hour', toUnixTimestamp(toStartOfHour(time, {time_zone:String})),
        {granularity:String} = 'day', toUnixTimestamp(toStartOfDay(time, {time_zone:String})),
        {granularity:String} = 'week',
            toUnixTimestamp(toDateTime(toStartOfWeek(time, 1, {time_zone:String}), {time_zone:String})),
        {granularity:String} = 'month',
            toUnixTimestamp(toDateTime(toStartOfMonth(time, {time_zone:String}), {time_zone:String})),
        toUInt32(0)
    ) AS bucket,
    {has_top:Bool}
        AND NOT has(
            {named:Array(Array(String))},
            [
                toString({group_1:Identifier})
                , toString({group_2:Identifier})
                , toString({group_3:Identifier})
                , toString({group_4:Identifier})
                , toString({group_5:Identifier})
                , toString({group_6:Identifier})
            ]
        ) AS is_other,
    if(is_other, '', toString({group_1:Identifier})) AS group_1,
    if(is_other, '', toString({group_2:Identifier})) AS group_2,
    if(is_other, '', toString({group_3:Identifier})) AS group_3,
    if(is_other, '', toString({group_4:Identifier})) AS group_4,
    if(is_other, '', toString({group_5:Identifier})) AS group_5,
    if(is_other, '', toString({group_6:Identifier})) AS group_6,
    sumForEach(measures) AS sums
FROM (
    SELECT hour AS time, project_id, key_id, model, served_model, provider, endpoint, stream, client, status, outcome,
        error_code, toLowCardinality('') AS finish_reason, '' AS end_user, measures
    FROM usage_hours
    WHERE account_id = {account_id:String}
        AND ({only_key:String} = '' OR key_id = {only_key:String})
        AND ({only_project:String} = '' OR project_id = {only_project:String})
        AND hour >= whole_start AND hour < whole_end AND until <= rolled_up
    UNION ALL
    SELECT toStartOfMinute(at) AS time, project_id, key_id, model, served_model, provider, endpoint, stream, client,
        status, outcome, error_code, finish_reason, end_user, measures
    FROM request_events
    WHERE account_id = {account_id:String}
        AND ({only_key:String} = '' OR key_id = {only_key:String})
        AND ({only_project:String} = '' OR project_id = {only_project:String})
        AND kind IN ('closed', 'used')
        AND at >= start AND at < end
        AND (at < whole_start OR at >= whole_end OR insert_by >= rolled_up)
)
WHERE has({values_1:Array(String)}, toString({filter_1:Identifier}))
    AND has({values_2:Array(String)}, toString({filter_2:Identifier}))
    AND has({values_3:Array(String)}, toString({filter_3:Identifier}))
    AND has({values_4:Array(String)}, toString({filter_4:Identifier}))
    AND has({values_5:Array(String)}, toString({filter_5:Identifier}))
    AND has({values_6:Array(String)}, toString({filter_6:Identifier}))
GROUP BY ALL
ORDER BY bucket, is_other, sums[8] DESC
    , group_1
    , group_2
    , group_3
    , group_4
    , group_5
    , group_6
LIMIT {limit:UInt32} OFFSET {offset:UInt32}
