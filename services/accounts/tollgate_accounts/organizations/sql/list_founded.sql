-- Returns the organizations that a person founded and belongs to, with their role, which may no longer be owner.
SELECT organisations.id::text AS id, memberships.role
FROM organisations JOIN memberships ON memberships.account_id = organisations.id
WHERE organisations.founded_by = %(person_id)s AND memberships.person_id = %(person_id)s
ORDER BY organisations.id
