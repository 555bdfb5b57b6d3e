-- Withdraws all open invitations, whose tokens stop working.
DELETE FROM invitations WHERE account_id = %(account_id)s RETURNING id::text AS id, email
