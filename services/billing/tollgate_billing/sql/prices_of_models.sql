-- Every version of some models, or of all where none is named, oldest first; of those that are valid from one moment the
-- last is the one that holds.
SELECT models.provider, models.context_tokens, models.max_output_tokens, models.capabilities, price_versions.*
FROM price_versions JOIN models USING (model)
WHERE %(models)s::text[] IS NULL OR model = ANY(%(models)s)
ORDER BY model, valid_from, recorded_at
