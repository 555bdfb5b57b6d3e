-- An account by its own id.
SELECT organisations.id::text AS id, organisations.name, organisations.created_at, organisations.suspended_at
FROM organisations WHERE id = %(id)s
