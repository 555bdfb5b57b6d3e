-- Sign-out.
DELETE FROM sessions WHERE id = %(id)s AND person_id = %(person_id)s
