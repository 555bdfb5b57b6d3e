-- Lets a person find a session that is not theirs. The most recently used comes first.
SELECT id::text AS id, user_agent, address, created_at, last_seen_at, expires_at
FROM sessions WHERE person_id = %(person_id)s AND expires_at > now()
ORDER BY last_seen_at DESC, id DESC
