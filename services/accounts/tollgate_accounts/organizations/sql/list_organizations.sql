-- Returns a person's organizations with their role in each, in the order in which they joined.
SELECT organisations.id::text AS id, organisations.name, memberships.role, organisations.created_at
FROM memberships JOIN organisations ON organisations.id = memberships.account_id
WHERE memberships.person_id = %(person_id)s
ORDER BY memberships.created_at, organisations.id
