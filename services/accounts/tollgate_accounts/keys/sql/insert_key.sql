-- Inserts a key's first version. Its text is not stored, only its hash and its hint.
INSERT INTO api_keys (
    id, account_id, name, key_hash, hint, project_id, models, allowed_ips, limits, budgets, usage_scope, expires_at,
    replaces, first_id, created_by
)
VALUES (
    %(id)s, %(account_id)s, %(name)s, %(key_hash)s, %(hint)s, %(project_id)s, %(models)s, %(allowed_ips)s, %(limits)s,
    %(budgets)s, %(usage_scope)s, %(expires_at)s, %(replaces)s, %(first_id)s, %(created_by)s
)
RETURNING id::text AS id, name, hint, project_id::text AS project_id, models, allowed_ips, limits, budgets, usage_scope,
    expires_at, created_at, revoked_at, last_used_at, replaces::text AS replaces, first_id::text AS first_id, key_hash,
    version, (SELECT email FROM persons WHERE persons.id = api_keys.created_by) AS created_by
