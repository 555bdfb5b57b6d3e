-- Writes every changeable setting of a locked key. Each change is a new version.
UPDATE api_keys SET
    name = %(name)s, project_id = %(project_id)s, models = %(models)s, allowed_ips = %(allowed_ips)s,
    limits = %(limits)s, budgets = %(budgets)s, usage_scope = %(usage_scope)s, expires_at = %(expires_at)s,
    version = version + 1
WHERE id = %(id)s AND account_id = %(account_id)s
RETURNING id::text AS id, name, hint, project_id::text AS project_id, models, allowed_ips, limits, budgets, usage_scope,
    expires_at, created_at, revoked_at, last_used_at, replaces::text AS replaces, first_id::text AS first_id, key_hash,
    version, (SELECT email FROM persons WHERE persons.id = api_keys.created_by) AS created_by
