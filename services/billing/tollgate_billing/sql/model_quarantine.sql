-- Nobody may call the model any more, or, with NULL, everybody again. Nothing where that is so already.
UPDATE models SET quarantined = %(reason)s
WHERE model = %(model)s AND (quarantined IS NULL) != (%(reason)s::text IS NULL)
RETURNING model
