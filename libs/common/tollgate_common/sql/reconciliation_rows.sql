-- The rows of a few offsets, to find why two digests differ.
SELECT
    offset,
    request_id,
    account_id,
    amount_nano,
    boot_id,
    seq,
    input_tokens + cached_input_tokens + cache_write_tokens + audio_input_tokens + image_input_tokens
        + output_tokens + reasoning_tokens + audio_output_tokens + cache_write_1h_tokens + cached_audio_input_tokens
        + cached_image_input_tokens + image_output_tokens + images + audio_seconds + characters + searches AS tokens
FROM {table:Identifier}
WHERE
    topic = {topic:String}
    AND partition = {partition:UInt16}
    AND offset >= {start:UInt64}
    AND offset < {end:UInt64}
ORDER BY offset
LIMIT {limit:UInt32}
