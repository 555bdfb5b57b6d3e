-- Store published metadata of a model that has none. Metadata from an operator stays.
UPDATE models
SET max_output_tokens = %(max_output_tokens)s, capabilities = %(capabilities)s
WHERE model = %(model)s AND max_output_tokens IS NULL AND capabilities = '{}'
RETURNING model
