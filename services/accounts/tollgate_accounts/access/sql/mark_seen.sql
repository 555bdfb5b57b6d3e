-- So that a person who looks at their sessions finds the one that is not theirs.
UPDATE sessions SET last_seen_at = now(), address = %(address)s WHERE id = %(id)s
