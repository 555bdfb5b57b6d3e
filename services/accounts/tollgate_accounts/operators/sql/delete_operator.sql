-- No row comes back when the person is none.
DELETE FROM operators WHERE person_id = %(person_id)s RETURNING person_id
