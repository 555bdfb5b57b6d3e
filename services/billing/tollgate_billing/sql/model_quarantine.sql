-- Quarantine a model, or with NULL lift its quarantine. No row is returned if nothing changes.
UPDATE models SET quarantined = %(reason)s
WHERE model = %(model)s AND (quarantined IS NULL) != (%(reason)s::text IS NULL)
RETURNING model
