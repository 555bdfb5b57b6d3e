-- Finds the sign-up's password hash by a mail's token. Does not consume the token.
SELECT password_hash FROM mail_tokens JOIN persons ON persons.id = mail_tokens.person_id
WHERE token_hash = %(token_hash)s AND purpose = %(purpose)s AND expires_at > now()
