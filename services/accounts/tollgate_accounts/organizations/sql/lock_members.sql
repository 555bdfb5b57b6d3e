-- Locked in one order, so that of two owners who leave at the same moment the second sees that they are the last.
SELECT person_id::text AS person_id, role FROM memberships WHERE account_id = %(account_id)s
ORDER BY person_id FOR UPDATE
