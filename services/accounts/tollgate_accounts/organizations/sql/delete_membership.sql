-- The members must be locked. Everything that the person created remains the organization's.
DELETE FROM memberships WHERE account_id = %(account_id)s AND person_id = %(person_id)s
