-- A page of what was done in an organisation, newest first; a person is shown by their e-mail.
SELECT audit_log.id::text AS id, audit_log.at, actor_kind, actor_id, persons.email AS actor_email, address, action,
    target_kind, target_id, details
FROM audit_log LEFT JOIN persons ON actor_kind = 'person' AND persons.id::text = actor_id
WHERE account_id = %(account_id)s AND (%(after)s::uuid IS NULL OR audit_log.id < %(after)s::uuid)
ORDER BY audit_log.id DESC
LIMIT %(limit)s
