-- A page of what was done in an organization, newest first; a person is shown by their e-mail, what has a name by that.
-- Each is found by its key: what is no id of such a thing is not compared.
SELECT audit_log.id::text AS id, audit_log.at, actor_kind, actor_id, actors.email AS actor_email, address, action,
    target_kind, target_id, coalesce(targets.email, api_keys.name, projects.name) AS target_name, details
FROM audit_log
LEFT JOIN persons AS actors ON actors.id = CASE WHEN actor_kind = 'person' THEN actor_id::uuid END
LEFT JOIN persons AS targets ON targets.id = CASE WHEN target_kind = 'person' THEN target_id::uuid END
LEFT JOIN api_keys ON api_keys.id = CASE WHEN target_kind = 'key' THEN target_id::uuid END
    AND api_keys.account_id = audit_log.account_id
LEFT JOIN projects ON projects.id = CASE WHEN target_kind = 'project' THEN target_id::uuid END
    AND projects.account_id = audit_log.account_id
WHERE audit_log.account_id = %(account_id)s AND (%(after)s::uuid IS NULL OR audit_log.id < %(after)s::uuid)
ORDER BY audit_log.id DESC
LIMIT %(limit)s
