-- Every event of one request, oldest first. The id is a UUIDv7 and contains its creation time; the bounds on `at`
-- follow from it. Without them each lookup would read every id of the account.
SELECT
    kind, at, key_id, project_id, model, served_model, provider, endpoint, stream, client, end_user, opened_at,
    status, outcome, error_code, finish_reason, latency_ms, first_token_ms, attempts, target, failed_attempts,
    input_tokens, cached_input_tokens, cache_write_tokens, audio_input_tokens, image_input_tokens, output_tokens,
    reasoning_tokens, audio_output_tokens, cache_write_1h_tokens, cached_audio_input_tokens,
    cached_image_input_tokens, image_output_tokens, images, audio_seconds, characters, searches,
    amount_nano, estimated, price_version, plan_version
FROM request_events
WHERE account_id = {account_id:String}
    AND ({only_key:String} = '' OR key_id = {only_key:String})
    AND ({only_project:String} = '' OR project_id = {only_project:String})
    AND kind IN ('opened', 'closed', 'used')
    AND at >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC')
    AND at < fromUnixTimestamp64Milli({to_ms:Int64}, 'UTC')
    AND request_id = {request_id:String}
ORDER BY kind
LIMIT 3
