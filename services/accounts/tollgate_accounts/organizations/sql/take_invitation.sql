-- An invitation works once, and only for the person with its e-mail address.
DELETE FROM invitations
WHERE token_hash = %(token_hash)s AND email_folded = %(email_folded)s AND expires_at > now()
RETURNING account_id::text AS account_id, role
