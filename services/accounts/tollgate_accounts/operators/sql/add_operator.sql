-- Returns no row if the person is already an operator.
INSERT INTO operators (person_id) VALUES (%(person_id)s) ON CONFLICT DO NOTHING RETURNING person_id
