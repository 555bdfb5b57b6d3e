-- Returns no row if nobody has the address, or it is already verified.
INSERT INTO mail_tokens (token_hash, person_id, purpose, expires_at)
SELECT %(token_hash)s, id, %(purpose)s, now() + %(lifetime)s
FROM persons
WHERE email_folded = %(recipient)s AND (%(purpose)s <> 'verify_email' OR email_verified_at IS NULL)
RETURNING person_id
