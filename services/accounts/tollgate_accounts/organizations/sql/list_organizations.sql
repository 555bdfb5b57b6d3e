-- Where a person is a member, and as what; the one that they joined first comes first.
SELECT organisations.id::text AS id, organisations.name, memberships.role, organisations.created_at
FROM memberships JOIN organisations ON organisations.id = memberships.account_id
WHERE memberships.person_id = %(person_id)s
ORDER BY memberships.created_at, organisations.id
