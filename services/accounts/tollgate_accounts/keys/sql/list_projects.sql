-- Returns the active projects, ordered by name.
SELECT id::text AS id, name, budgets, created_at FROM projects
WHERE account_id = %(account_id)s AND archived_at IS NULL
ORDER BY name, id
