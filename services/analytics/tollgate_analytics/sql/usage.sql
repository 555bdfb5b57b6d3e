-- Usage of one account by time and up to six dimensions, as GET /v1/usage asks for it.
--
-- Whole hours come from the projection `by_hour`, which serves only expressions of toStartOfHour(at) and the dimensions
-- in its key. What a range has before its first and after its last whole hour comes from the rows, next to each other in
-- the table's order; a question about minutes, or by a dimension that the projection lacks, has no whole hours, so that
-- all of it comes from the rows. A request counts when it closes, so `requests` is the closed events.
--
-- Dimensions are bound as identifiers, in slots: the engine takes as long to plan a statement that names all fourteen,
-- each with its condition, as to answer it (210 ms against 60). A slot that nobody uses is bound to `nothing`, and its
-- filter to the value of that, which the engine folds away before it chooses where to read.
--
-- With `has_top`, groups that are not `named` are added up as one, `is_other`.
WITH
    '' AS nothing,
    concat(toString(intDiv(status, 100)), 'xx') AS status_class
SELECT
    bucket,
    {has_top:Bool} AND NOT has({named:Array(Array(String))}, [g1, g2, g3, g4, g5, g6]) AS is_other,
    if(is_other, '', g1) AS group_1,
    if(is_other, '', g2) AS group_2,
    if(is_other, '', g3) AS group_3,
    if(is_other, '', g4) AS group_4,
    if(is_other, '', g5) AS group_5,
    if(is_other, '', g6) AS group_6,
    sum(requests), sum(errors), sum(tries), sum(latency), ifNull(sum(first_token), 0), sum(first_tokens),
    sum(estimates), sum(input_sum), sum(cached_input_sum), sum(cache_write_sum), sum(audio_input_sum), sum(image_input_sum),
    sum(output_sum), sum(reasoning_sum), sum(audio_output_sum), sum(cache_write_1h_sum), sum(cached_audio_input_sum), sum(cached_image_input_sum),
    sum(image_output_sum), sum(images_sum), sum(audio_seconds_sum), sum(characters_sum), sum(searches_sum), sum(amount)
FROM (
    SELECT
        multiIf(
            {granularity:String} = 'minute', toUnixTimestamp(toStartOfMinute(toStartOfHour(at))),
            {granularity:String} = 'hour', toUnixTimestamp(toStartOfHour(toStartOfHour(at), {time_zone:String})),
            {granularity:String} = 'day', toUnixTimestamp(toStartOfDay(toStartOfHour(at), {time_zone:String})),
            {granularity:String} = 'week',
                toUnixTimestamp(toDateTime(toStartOfWeek(toStartOfHour(at), 1, {time_zone:String}), {time_zone:String})),
            {granularity:String} = 'month',
                toUnixTimestamp(toDateTime(toStartOfMonth(toStartOfHour(at), {time_zone:String}), {time_zone:String})),
            toUInt32(0)
        ) AS bucket,
        toString({group_1:Identifier}) AS g1,
        toString({group_2:Identifier}) AS g2,
        toString({group_3:Identifier}) AS g3,
        toString({group_4:Identifier}) AS g4,
        toString({group_5:Identifier}) AS g5,
        toString({group_6:Identifier}) AS g6,
        countIf(kind = 'closed') AS requests,
        countIf(kind = 'used') AS answers,
        countIf(kind = 'closed' AND status >= 400) AS errors,
        sum(attempts) AS tries,
        sum(latency_ms) AS latency,
        sum(first_token_ms) AS first_token,
        count(first_token_ms) AS first_tokens,
        sum(estimated) AS estimates,
        sum(input_tokens) AS input_sum,
        sum(cached_input_tokens) AS cached_input_sum,
        sum(cache_write_tokens) AS cache_write_sum,
        sum(audio_input_tokens) AS audio_input_sum,
        sum(image_input_tokens) AS image_input_sum,
        sum(output_tokens) AS output_sum,
        sum(reasoning_tokens) AS reasoning_sum,
        sum(audio_output_tokens) AS audio_output_sum,
        sum(cache_write_1h_tokens) AS cache_write_1h_sum,
        sum(cached_audio_input_tokens) AS cached_audio_input_sum,
        sum(cached_image_input_tokens) AS cached_image_input_sum,
        sum(image_output_tokens) AS image_output_sum,
        sum(images) AS images_sum,
        sum(audio_seconds) AS audio_seconds_sum,
        sum(characters) AS characters_sum,
        sum(searches) AS searches_sum,
        sum(amount_nano) AS amount
    FROM request_events
    WHERE account_id = {account_id:String}
        AND ({only_key:String} = '' OR key_id = {only_key:String})
        AND ({only_project:String} = '' OR project_id = {only_project:String})
        AND toStartOfHour(at) >= fromUnixTimestamp64Milli({whole_start_ms:Int64}, 'UTC')
        AND toStartOfHour(at) < fromUnixTimestamp64Milli({whole_end_ms:Int64}, 'UTC')
        AND has({values_1:Array(String)}, toString({filter_1:Identifier}))
        AND has({values_2:Array(String)}, toString({filter_2:Identifier}))
        AND has({values_3:Array(String)}, toString({filter_3:Identifier}))
        AND has({values_4:Array(String)}, toString({filter_4:Identifier}))
        AND has({values_5:Array(String)}, toString({filter_5:Identifier}))
        AND has({values_6:Array(String)}, toString({filter_6:Identifier}))
    GROUP BY ALL
    UNION ALL
    SELECT
        multiIf(
            {granularity:String} = 'minute', toUnixTimestamp(toStartOfMinute(at)),
            {granularity:String} = 'hour', toUnixTimestamp(toStartOfHour(at, {time_zone:String})),
            {granularity:String} = 'day', toUnixTimestamp(toStartOfDay(at, {time_zone:String})),
            {granularity:String} = 'week',
                toUnixTimestamp(toDateTime(toStartOfWeek(at, 1, {time_zone:String}), {time_zone:String})),
            {granularity:String} = 'month',
                toUnixTimestamp(toDateTime(toStartOfMonth(at, {time_zone:String}), {time_zone:String})),
            toUInt32(0)
        ) AS bucket,
        toString({group_1:Identifier}) AS g1,
        toString({group_2:Identifier}) AS g2,
        toString({group_3:Identifier}) AS g3,
        toString({group_4:Identifier}) AS g4,
        toString({group_5:Identifier}) AS g5,
        toString({group_6:Identifier}) AS g6,
        countIf(kind = 'closed') AS requests,
        countIf(kind = 'used') AS answers,
        countIf(kind = 'closed' AND status >= 400) AS errors,
        sum(attempts) AS tries,
        sum(latency_ms) AS latency,
        sum(first_token_ms) AS first_token,
        count(first_token_ms) AS first_tokens,
        sum(estimated) AS estimates,
        sum(input_tokens) AS input_sum,
        sum(cached_input_tokens) AS cached_input_sum,
        sum(cache_write_tokens) AS cache_write_sum,
        sum(audio_input_tokens) AS audio_input_sum,
        sum(image_input_tokens) AS image_input_sum,
        sum(output_tokens) AS output_sum,
        sum(reasoning_tokens) AS reasoning_sum,
        sum(audio_output_tokens) AS audio_output_sum,
        sum(cache_write_1h_tokens) AS cache_write_1h_sum,
        sum(cached_audio_input_tokens) AS cached_audio_input_sum,
        sum(cached_image_input_tokens) AS cached_image_input_sum,
        sum(image_output_tokens) AS image_output_sum,
        sum(images) AS images_sum,
        sum(audio_seconds) AS audio_seconds_sum,
        sum(characters) AS characters_sum,
        sum(searches) AS searches_sum,
        sum(amount_nano) AS amount
    FROM request_events
    WHERE account_id = {account_id:String}
        AND ({only_key:String} = '' OR key_id = {only_key:String})
        AND ({only_project:String} = '' OR project_id = {only_project:String})
        AND kind IN ('closed', 'used')
        AND (
            (at >= fromUnixTimestamp64Milli({start_ms:Int64}, 'UTC')
                AND at < fromUnixTimestamp64Milli({whole_start_ms:Int64}, 'UTC'))
            OR (at >= fromUnixTimestamp64Milli({whole_end_ms:Int64}, 'UTC')
                AND at < fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC'))
        )
        AND has({values_1:Array(String)}, toString({filter_1:Identifier}))
        AND has({values_2:Array(String)}, toString({filter_2:Identifier}))
        AND has({values_3:Array(String)}, toString({filter_3:Identifier}))
        AND has({values_4:Array(String)}, toString({filter_4:Identifier}))
        AND has({values_5:Array(String)}, toString({filter_5:Identifier}))
        AND has({values_6:Array(String)}, toString({filter_6:Identifier}))
    GROUP BY ALL
)
GROUP BY ALL
-- The projection also has groups of opened requests alone, which are nothing to report yet.
HAVING sum(requests) + sum(answers) > 0
ORDER BY bucket, is_other, sum(amount) DESC, group_1, group_2, group_3, group_4, group_5, group_6
LIMIT {limit:UInt32} OFFSET {offset:UInt32}
