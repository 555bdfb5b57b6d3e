-- It works once, and for the person to whose e-mail it was sent alone.
DELETE FROM invitations
WHERE token_hash = %(token_hash)s AND email_folded = %(email_folded)s AND expires_at > now()
RETURNING account_id::text AS account_id, role
