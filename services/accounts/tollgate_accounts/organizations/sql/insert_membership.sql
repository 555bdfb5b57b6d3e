-- Adds a member. An existing member keeps their role.
INSERT INTO memberships (account_id, person_id, role) VALUES (%(account_id)s, %(person_id)s, %(role)s)
ON CONFLICT (account_id, person_id) DO NOTHING
RETURNING role
