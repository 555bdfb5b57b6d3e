-- Insert a price version, under the lock of its model's row. Versions are never deleted, so their count numbers those
-- of a day. recorded_at is the current time, not the start of the transaction: a transaction that waited for the lock
-- was decided after the one before it.
INSERT INTO price_versions (
    price_version, model, valid_from, recorded_at, source, is_correction,
    input, output, cached_input, cache_write, audio_input, image_input, reasoning, audio_output, request_nano,
    cache_write_1h, cached_audio_input, cached_image_input, image_output, images, audio_seconds, characters, searches,
    tiers, cost
)
SELECT
    format('%%s@%%s.%%s', %(model)s::text, to_char(%(valid_from)s::timestamptz AT TIME ZONE 'UTC', 'YYYY-MM-DD'), count(*) + 1),
    %(model)s, %(valid_from)s, clock_timestamp(), %(source)s, %(is_correction)s,
    %(input)s, %(output)s, %(cached_input)s, %(cache_write)s, %(audio_input)s, %(image_input)s,
    %(reasoning)s, %(audio_output)s, %(request_nano)s,
    %(cache_write_1h)s, %(cached_audio_input)s, %(cached_image_input)s, %(image_output)s,
    %(images)s, %(audio_seconds)s, %(characters)s, %(searches)s,
    %(tiers)s::jsonb, %(cost)s::jsonb
FROM price_versions
WHERE
    model = %(model)s
    AND (valid_from AT TIME ZONE 'UTC')::date = (%(valid_from)s::timestamptz AT TIME ZONE 'UTC')::date
RETURNING *
