-- Increment the version of a model's record in catalogue.v1. The update locks the row until the end of the transaction,
-- so that a model's versions are numbered, and its records published, one after another.
UPDATE models SET record_version = record_version + 1
WHERE model = %(model)s
RETURNING provider, context_tokens, max_output_tokens, capabilities, record_version, quarantined
