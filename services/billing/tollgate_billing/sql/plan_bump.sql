-- Increment the version of a plan's record in catalogue.v1, like model_bump.
UPDATE plans SET record_version = record_version + 1 WHERE plan = %(plan)s RETURNING record_version, retired_at
