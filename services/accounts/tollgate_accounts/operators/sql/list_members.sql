-- Returns an account's members, so that operators can contact them.
SELECT persons.id::text AS person_id, persons.email, memberships.role
FROM memberships JOIN persons ON persons.id = memberships.person_id
WHERE memberships.account_id = %(account_id)s
ORDER BY memberships.created_at, persons.id
