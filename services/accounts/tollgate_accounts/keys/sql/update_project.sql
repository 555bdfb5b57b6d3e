-- Locks the project until the transaction ends. A key that joins concurrently waits, then reads the new budgets.
UPDATE projects SET
    name = coalesce(%(name)s, name),
    budgets = coalesce(%(budgets)s::jsonb, budgets)
WHERE id = %(id)s AND account_id = %(account_id)s AND archived_at IS NULL
RETURNING id::text AS id, name, budgets, created_at
