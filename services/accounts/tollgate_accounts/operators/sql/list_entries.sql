-- A page of what was done, newest first: in one organization, or, where none is named, everywhere.
SELECT audit_log.id::text AS id, audit_log.at, actor_kind, actor_id, persons.email AS actor_email, address, action,
    target_kind, target_id, coalesce(targets.email, api_keys.name, projects.name) AS target_name, details,
    audit_log.account_id::text AS account_id
FROM audit_log
LEFT JOIN persons ON actor_kind IN ('person', 'operator') AND persons.id::text = actor_id
LEFT JOIN persons AS targets ON targets.id = CASE WHEN target_kind = 'person' THEN target_id::uuid END
LEFT JOIN api_keys ON api_keys.id = CASE WHEN target_kind = 'key' THEN target_id::uuid END
LEFT JOIN projects ON projects.id = CASE WHEN target_kind = 'project' THEN target_id::uuid END
WHERE (%(account_id)s::uuid IS NULL OR audit_log.account_id = %(account_id)s::uuid)
    AND (%(after)s::uuid IS NULL OR audit_log.id < %(after)s::uuid)
ORDER BY audit_log.id DESC
LIMIT %(limit)s
