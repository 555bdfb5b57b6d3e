-- Finds the recipients of the mail about a leaked key.
SELECT persons.email
FROM memberships JOIN persons ON persons.id = memberships.person_id
WHERE memberships.account_id = %(account_id)s AND memberships.role IN ('owner', 'admin')
