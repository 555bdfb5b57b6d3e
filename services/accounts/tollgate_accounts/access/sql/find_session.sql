-- Finds the caller and their role, on every request. Without a membership the last two columns are null.
SELECT sessions.id::text AS session_id, persons.id::text AS person_id, persons.email,
    persons.email_verified_at IS NOT NULL AS is_verified,
    sessions.last_seen_at < now() - %(seen_interval)s AS must_be_marked,
    memberships.account_id::text AS account_id, memberships.role
FROM sessions
JOIN persons ON persons.id = sessions.person_id
LEFT JOIN memberships ON memberships.person_id = sessions.person_id
    AND memberships.account_id = coalesce(%(account_id)s::uuid, sessions.account_id)
WHERE sessions.token_hash = %(token_hash)s AND sessions.expires_at > now()
