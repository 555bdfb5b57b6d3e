-- What is published of a model, where nothing is known of it yet: what an operator has said stays.
UPDATE models
SET max_output_tokens = %(max_output_tokens)s, capabilities = %(capabilities)s
WHERE model = %(model)s AND max_output_tokens IS NULL AND capabilities = '{}'
RETURNING model
