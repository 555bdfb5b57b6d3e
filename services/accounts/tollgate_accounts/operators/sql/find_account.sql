-- Finds an account by its id.
SELECT organisations.id::text AS id, organisations.name, organisations.created_at, organisations.suspended_at
FROM organisations WHERE id = %(id)s
