-- After the members were locked. What the person made in the organization stays the organization's.
DELETE FROM memberships WHERE account_id = %(account_id)s AND person_id = %(person_id)s
