-- Every request of an account within a range, one row each, for a file. The `closed` and `used` events of a request
-- have the same time and id, so they are grouped by both. The engine spills the grouping to disk above its memory
-- limit. Filters are bound as in `usage.sql`, in the inner query, where columns still have their own names.
SELECT
    formatDateTime(at, '%Y-%m-%dT%H:%i:%S.', 'UTC') || leftPad(toString(toUnixTimestamp64Milli(at) % 1000), 3, '0') || 'Z' AS time,
    request_id AS id,
    any(project_id) AS project,
    any(key_id) AS api_key,
    any(model) AS model,
    any(served_model) AS served_model,
    any(provider) AS provider,
    any(endpoint) AS endpoint,
    any(stream) AS stream,
    any(client) AS client,
    any(end_user) AS end_user,
    any(status) AS status,
    any(outcome) AS outcome,
    any(error_code) AS error_code,
    any(finish_reason) AS finish_reason,
    max(latency_ms) AS latency_ms,
    max(first_token_ms) AS first_token_ms,
    max(attempts) AS attempts,
    sum(input_tokens) AS input_tokens,
    sum(cached_input_tokens) AS cached_input_tokens,
    sum(cache_write_tokens) AS cache_write_tokens,
    sum(audio_input_tokens) AS audio_input_tokens,
    sum(image_input_tokens) AS image_input_tokens,
    sum(output_tokens) AS output_tokens,
    sum(reasoning_tokens) AS reasoning_tokens,
    sum(audio_output_tokens) AS audio_output_tokens,
    sum(cache_write_1h_tokens) AS cache_write_1h_tokens,
    sum(cached_audio_input_tokens) AS cached_audio_input_tokens,
    sum(cached_image_input_tokens) AS cached_image_input_tokens,
    sum(image_output_tokens) AS image_output_tokens,
    sum(images) AS images,
    sum(audio_seconds) AS audio_seconds,
    sum(characters) AS characters,
    sum(searches) AS searches,
    sum(amount_nano) AS cost_nano,
    max(estimated) AS estimated
FROM (
    -- if status_class
    WITH concat(toString(intDiv(status, 100)), 'xx') AS status_class
    -- end
    SELECT *
    FROM request_events
    WHERE account_id = {account_id:String}
        AND ({only_key:String} = '' OR key_id = {only_key:String})
        AND ({only_project:String} = '' OR project_id = {only_project:String})
        AND kind IN ('closed', 'used')
        AND at >= fromUnixTimestamp64Milli({start_ms:Int64}, 'UTC')
        AND at < fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC')
        AND has({values_1:Array(String)}, toString({filter_1:Identifier}))
        AND has({values_2:Array(String)}, toString({filter_2:Identifier}))
        AND has({values_3:Array(String)}, toString({filter_3:Identifier}))
        AND has({values_4:Array(String)}, toString({filter_4:Identifier}))
        AND has({values_5:Array(String)}, toString({filter_5:Identifier}))
        AND has({values_6:Array(String)}, toString({filter_6:Identifier}))
)
GROUP BY at, request_id
HAVING countIf(kind = 'closed') > 0
ORDER BY at, request_id
