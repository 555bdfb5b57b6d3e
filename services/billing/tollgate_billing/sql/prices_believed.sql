-- Read the price that was recorded at `as_of` for the time `at`, of one model or of all: among the versions recorded by
-- then, the one that started last, and among equal starts the one recorded last.
SELECT DISTINCT ON (model) models.provider, models.context_tokens, models.max_output_tokens, models.capabilities, price_versions.*
FROM price_versions JOIN models USING (model)
WHERE
    (%(models)s::text[] IS NULL OR model = ANY(%(models)s))
    AND valid_from <= %(at)s
    AND recorded_at <= %(as_of)s
ORDER BY model, valid_from DESC, recorded_at DESC
