-- Read one account's charges, newest first, below a cursor. `at` occurs twice: the first bound lets the primary key
-- skip newer rows, and the tuple orders charges of one millisecond.
SELECT
    offset, at, request_id, project_id, key_id, endpoint, model, served_model, provider, stream, end_user,
    outcome, finish_reason, estimated,
    input_tokens, cached_input_tokens, cache_write_tokens, audio_input_tokens, image_input_tokens,
    output_tokens, reasoning_tokens, audio_output_tokens,
    amount_nano, lines.token_class, lines.quantity, lines.price, request_nano, multiplier_bps, tier_above_tokens,
    price_version, plan_version
FROM charges
WHERE
    account_id = {account_id:String}
    AND kind = 'charge'
    AND at <= fromUnixTimestamp64Milli({at_ms:Int64})
    AND (at, request_id, offset) < (fromUnixTimestamp64Milli({at_ms:Int64}), {request_id:String}, {offset:UInt64})
ORDER BY at DESC, request_id DESC, offset DESC
LIMIT {limit:UInt32}
