-- Withdraws an invitation, whose token stops working.
DELETE FROM invitations WHERE account_id = %(account_id)s AND id = %(id)s RETURNING email, role
