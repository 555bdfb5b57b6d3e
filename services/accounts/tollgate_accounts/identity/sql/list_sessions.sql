-- So that a person can find the session that is not theirs; the one used last comes first.
SELECT id::text AS id, user_agent, address, created_at, last_seen_at, expires_at
FROM sessions WHERE person_id = %(person_id)s AND expires_at > now()
ORDER BY last_seen_at DESC, id DESC
