-- Returns no row if the person is not an operator.
DELETE FROM operators WHERE person_id = %(person_id)s RETURNING person_id
