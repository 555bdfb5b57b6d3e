-- A page of an organization's keys, newest first; the next page begins after the last id of this one.
SELECT id::text AS id, name, hint, project_id::text AS project_id, models, allowed_ips, limits, budgets, usage_scope,
    expires_at, created_at, revoked_at, last_used_at, replaces::text AS replaces, first_id::text AS first_id, key_hash,
    version, (SELECT email FROM persons WHERE persons.id = api_keys.created_by) AS created_by
FROM api_keys
WHERE account_id = %(account_id)s AND (%(after)s::uuid IS NULL OR id < %(after)s::uuid)
    AND (%(project_id)s::uuid IS NULL OR project_id = %(project_id)s::uuid)
ORDER BY id DESC
LIMIT %(limit)s
