-- Signs out the current session or another one of the same person.
DELETE FROM sessions WHERE id = %(id)s AND person_id = %(person_id)s RETURNING id
