-- What the requests of a page used and cost. Their own statement, because usage comes on another topic than the close.
SELECT
    request_id,
    sum(input_tokens),
    sum(cached_input_tokens),
    sum(cache_write_tokens),
    sum(audio_input_tokens),
    sum(image_input_tokens),
    sum(output_tokens),
    sum(reasoning_tokens),
    sum(audio_output_tokens),
    sum(amount_nano)
FROM request_events
WHERE account_id = {account_id:String} AND kind = 'used' AND request_id IN {request_ids:Array(String)}
GROUP BY request_id
