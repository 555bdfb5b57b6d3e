-- Lets a person recognize a session that is not theirs.
UPDATE sessions SET last_seen_at = now(), address = %(address)s WHERE id = %(id)s
