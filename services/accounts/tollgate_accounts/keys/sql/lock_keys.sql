-- The keys whose records an act on their organization or project changes, locked in one order.
SELECT id::text AS id, name, hint, project_id::text AS project_id, models, allowed_ips, limits, budgets, usage_scope,
    expires_at, created_at, revoked_at, last_used_at, replaces::text AS replaces, first_id::text AS first_id, key_hash,
    version, (SELECT email FROM persons WHERE persons.id = api_keys.created_by) AS created_by
FROM api_keys
WHERE account_id = %(account_id)s AND revoked_at IS NULL
    AND (%(project_id)s::uuid IS NULL OR project_id = %(project_id)s::uuid)
ORDER BY id FOR UPDATE
