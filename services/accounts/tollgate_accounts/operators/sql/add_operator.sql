-- No row comes back when the person is one already.
INSERT INTO operators (person_id) VALUES (%(person_id)s) ON CONFLICT DO NOTHING RETURNING person_id
