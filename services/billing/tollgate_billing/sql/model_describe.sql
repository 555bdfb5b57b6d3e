-- Store a model's metadata. The caller has locked the catalog and read the values that stay.
UPDATE models
SET
    context_tokens = %(context_tokens)s,
    max_output_tokens = %(max_output_tokens)s,
    capabilities = %(capabilities)s
WHERE model = %(model)s
