-- Usage of one account by time, model and key, as GET /v1/usage asks for it.
-- The whole hours come from the projection `hourly`, which serves only expressions of toStartOfHour(at). What a range
-- has before its first and after its last whole hour comes from the rows: at most two hours, next to each other in the
-- table's order. A request counts when it closes, so `requests` is the closed events.
SELECT
    multiIf(
        {granularity:String} = 'hour', hour,
        {granularity:String} = 'day', toStartOfDay(hour),
        toDateTime(0, 'UTC')
    ) AS bucket,
    if({by_model:Bool}, model, '') AS model_group,
    if({by_api_key:Bool}, key_id, '') AS key_group,
    sum(requests),
    sum(input),
    sum(cached_input),
    sum(cache_write),
    sum(audio_input),
    sum(image_input),
    sum(output),
    sum(reasoning),
    sum(audio_output),
    sum(amount)
FROM (
    SELECT
        toStartOfHour(at) AS hour,
        model,
        key_id,
        countIf(kind = 'closed') AS requests,
        countIf(kind = 'used') AS answers,
        sum(input_tokens) AS input,
        sum(cached_input_tokens) AS cached_input,
        sum(cache_write_tokens) AS cache_write,
        sum(audio_input_tokens) AS audio_input,
        sum(image_input_tokens) AS image_input,
        sum(output_tokens) AS output,
        sum(reasoning_tokens) AS reasoning,
        sum(audio_output_tokens) AS audio_output,
        sum(amount_nano) AS amount
    FROM request_events
    WHERE account_id = {account_id:String}
        AND toStartOfHour(at) >= fromUnixTimestamp64Milli({whole_start_ms:Int64}, 'UTC')
        AND toStartOfHour(at) < fromUnixTimestamp64Milli({whole_end_ms:Int64}, 'UTC')
        AND (empty({models:Array(String)}) OR has({models:Array(String)}, model))
        AND (empty({key_ids:Array(String)}) OR has({key_ids:Array(String)}, key_id))
    GROUP BY account_id, model, key_id, toStartOfHour(at)
    UNION ALL
    SELECT
        toStartOfHour(at) AS hour,
        model,
        key_id,
        countIf(kind = 'closed') AS requests,
        countIf(kind = 'used') AS answers,
        sum(input_tokens) AS input,
        sum(cached_input_tokens) AS cached_input,
        sum(cache_write_tokens) AS cache_write,
        sum(audio_input_tokens) AS audio_input,
        sum(image_input_tokens) AS image_input,
        sum(output_tokens) AS output,
        sum(reasoning_tokens) AS reasoning,
        sum(audio_output_tokens) AS audio_output,
        sum(amount_nano) AS amount
    FROM request_events
    WHERE account_id = {account_id:String}
        AND kind IN ('closed', 'used')
        AND (
            (at >= fromUnixTimestamp64Milli({start_ms:Int64}, 'UTC') AND at < fromUnixTimestamp64Milli({whole_start_ms:Int64}, 'UTC'))
            OR (at >= fromUnixTimestamp64Milli({whole_end_ms:Int64}, 'UTC') AND at < fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC'))
        )
        AND (empty({models:Array(String)}) OR has({models:Array(String)}, model))
        AND (empty({key_ids:Array(String)}) OR has({key_ids:Array(String)}, key_id))
    GROUP BY account_id, model, key_id, toStartOfHour(at)
)
GROUP BY bucket, model_group, key_group
-- The projection also has groups of opened requests alone, which are nothing to report yet.
HAVING sum(requests) + sum(answers) > 0
ORDER BY bucket, sum(amount) DESC, model_group, key_group
