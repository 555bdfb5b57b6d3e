-- Everybody in an organization; who joined first comes first.
SELECT persons.id::text AS person_id, persons.email, memberships.role, memberships.created_at AS joined_at
FROM memberships JOIN persons ON persons.id = memberships.person_id
WHERE memberships.account_id = %(account_id)s
ORDER BY memberships.created_at, persons.id
