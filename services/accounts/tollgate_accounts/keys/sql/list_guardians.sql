-- Who must know that a key has leaked.
SELECT persons.email
FROM memberships JOIN persons ON persons.id = memberships.person_id
WHERE memberships.account_id = %(account_id)s AND memberships.role IN ('owner', 'admin')
