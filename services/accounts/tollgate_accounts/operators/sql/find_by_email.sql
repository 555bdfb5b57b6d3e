-- Finds the accounts that a person is a member of.
SELECT organisations.id::text AS id, organisations.name, organisations.created_at, organisations.suspended_at
FROM organisations
JOIN memberships ON memberships.account_id = organisations.id
JOIN persons ON persons.id = memberships.person_id
WHERE persons.email_folded = %(email_folded)s
ORDER BY organisations.id
