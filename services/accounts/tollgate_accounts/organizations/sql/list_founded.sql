-- What a person has founded and is a member of, and as what: it may have been passed on.
SELECT organisations.id::text AS id, memberships.role
FROM organisations JOIN memberships ON memberships.account_id = organisations.id
WHERE organisations.founded_by = %(person_id)s AND memberships.person_id = %(person_id)s
ORDER BY organisations.id
