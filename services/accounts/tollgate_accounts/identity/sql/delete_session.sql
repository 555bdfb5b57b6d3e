-- Sign-out, of this session or of another of the same person's.
DELETE FROM sessions WHERE id = %(id)s AND person_id = %(person_id)s RETURNING id
