-- All that are open; their tokens work no more.
DELETE FROM invitations WHERE account_id = %(account_id)s RETURNING id::text AS id, email
