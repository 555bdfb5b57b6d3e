-- Read every version of some models, or of all if none is named, oldest first. Among versions with the same valid_from,
-- the last one applies.
SELECT models.provider, models.context_tokens, models.max_output_tokens, models.capabilities, price_versions.*
FROM price_versions JOIN models USING (model)
WHERE %(models)s::text[] IS NULL OR model = ANY(%(models)s)
ORDER BY model, valid_from, recorded_at
