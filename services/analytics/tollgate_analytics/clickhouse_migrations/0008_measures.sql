-- * `measures` is all that reports add up, in one column: a statement plans, opens and adds up one column where it would
--   have 27. The order is that of `measures.py`: what most requests have comes first, and zeros at the end are left out,
--   so that a row has few. What comes new is added at the end. Rows from before compute it as they are read.
-- * `late` finds the rows of a time of insertion, in the whole table or in a range of an account: what has not been
--   rolled up yet is found among the rest. Both columns in one index, because a condition may be an OR of the two.
ALTER TABLE request_events
    ADD COLUMN IF NOT EXISTS measures Array(Int64) MATERIALIZED arraySlice(
        [
            toInt64(kind = 'closed'),
            toInt64(kind = 'closed' AND status >= 400),
            toInt64(attempts),
            toInt64(latency_ms),
            toInt64(ifNull(first_token_ms, 0)),
            toInt64(isNotNull(first_token_ms)),
            toInt64(kind = 'used'),
            amount_nano,
            ifNull(provider_cost_nano, 0),
            if(isNull(provider_cost_nano), 0, amount_nano),
            toInt64(input_tokens),
            toInt64(cached_input_tokens),
            toInt64(output_tokens),
            toInt64(reasoning_tokens),
            toInt64(cache_write_tokens),
            toInt64(estimated),
            toInt64(cache_write_1h_tokens),
            toInt64(audio_input_tokens),
            toInt64(image_input_tokens),
            toInt64(audio_output_tokens),
            toInt64(cached_audio_input_tokens),
            toInt64(cached_image_input_tokens),
            toInt64(image_output_tokens),
            toInt64(images),
            toInt64(audio_seconds),
            toInt64(characters),
            toInt64(searches)
        ] AS all_measures,
        1,
        arrayLastIndex(measure -> measure != 0, all_measures)
    ) CODEC(ZSTD),
    ADD INDEX IF NOT EXISTS late (at, insert_by) TYPE minmax GRANULARITY 1
