-- The password that whoever signed up chose, for who shows the token that their mail carried; it is not used up by this.
SELECT password_hash FROM mail_tokens JOIN persons ON persons.id = mail_tokens.person_id
WHERE token_hash = %(token_hash)s AND purpose = %(purpose)s AND expires_at > now()
