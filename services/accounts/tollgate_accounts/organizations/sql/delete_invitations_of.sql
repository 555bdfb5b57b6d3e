-- Withdraws the invitations that a person sent and may no longer send. Their tokens stop working.
DELETE FROM invitations
WHERE account_id = %(account_id)s AND invited_by = %(person_id)s AND role <> ALL(%(kept)s::text[])
RETURNING id::text AS id, email
