-- What was believed at `as_of` about the price at `at`, of one model or of all: of what was recorded by then, the version
-- that began last, and of those that began together the one recorded last.
SELECT DISTINCT ON (model) models.provider, models.context_tokens, models.max_output_tokens, models.capabilities, price_versions.*
FROM price_versions JOIN models USING (model)
WHERE
    (%(models)s::text[] IS NULL OR model = ANY(%(models)s))
    AND valid_from <= %(at)s
    AND recorded_at <= %(as_of)s
ORDER BY model, valid_from DESC, recorded_at DESC
