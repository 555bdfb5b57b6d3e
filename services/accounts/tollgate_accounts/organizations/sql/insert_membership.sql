-- A person joins; whoever is a member stays what they are.
INSERT INTO memberships (account_id, person_id, role) VALUES (%(account_id)s, %(person_id)s, %(role)s)
ON CONFLICT (account_id, person_id) DO NOTHING
RETURNING role
