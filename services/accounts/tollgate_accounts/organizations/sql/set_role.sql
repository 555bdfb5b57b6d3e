-- After the members were locked.
UPDATE memberships SET role = %(role)s WHERE account_id = %(account_id)s AND person_id = %(person_id)s
