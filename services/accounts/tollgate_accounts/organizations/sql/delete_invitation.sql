-- Withdrawn; its token works no more.
DELETE FROM invitations WHERE account_id = %(account_id)s AND id = %(id)s RETURNING email, role
