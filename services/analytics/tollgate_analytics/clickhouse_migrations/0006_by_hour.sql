-- What the dashboards add up, by hour and by every dimension that hangs together with the key and the model: these give
-- an account few groups, whatever it sends. Status, error code, finish reason and end user differ from request to
-- request; grouped by them too, the projection has nearly as many rows as the table and was the dearest part of an
-- insert. Reports by those read the rows.
--
-- * Account and hour first: a question names one account and a range.
-- * `block_month` is one value a part. It is here so that a question can tell months that have been archived from those
--   that have not, and still be answered from here.
ALTER TABLE request_events ADD PROJECTION IF NOT EXISTS by_hour (
    SELECT
        account_id,
        toStartOfHour(at),
        project_id,
        key_id,
        model,
        served_model,
        provider,
        endpoint,
        stream,
        client,
        block_month,
        countIf(kind = 'closed'),
        countIf(kind = 'used'),
        countIf(kind = 'closed' AND status >= 400),
        sum(attempts),
        sum(latency_ms),
        sum(first_token_ms),
        count(first_token_ms),
        sum(estimated),
        sum(input_tokens),
        sum(cached_input_tokens),
        sum(cache_write_tokens),
        sum(audio_input_tokens),
        sum(image_input_tokens),
        sum(output_tokens),
        sum(reasoning_tokens),
        sum(audio_output_tokens),
        sum(cache_write_1h_tokens),
        sum(cached_audio_input_tokens),
        sum(cached_image_input_tokens),
        sum(image_output_tokens),
        sum(images),
        sum(audio_seconds),
        sum(characters),
        sum(searches),
        sum(amount_nano),
        sum(provider_cost_nano),
        sumIf(amount_nano, isNotNull(provider_cost_nano))
    GROUP BY
        account_id,
        toStartOfHour(at),
        project_id,
        key_id,
        model,
        served_model,
        provider,
        endpoint,
        stream,
        client,
        block_month
)
