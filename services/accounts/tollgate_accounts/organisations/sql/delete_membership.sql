-- After the members were locked. What the person made in the organisation stays the organisation's.
DELETE FROM memberships WHERE account_id = %(account_id)s AND person_id = %(person_id)s
