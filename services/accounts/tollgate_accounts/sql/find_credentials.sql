-- What a password is checked against.
SELECT id::text AS account_id, password_hash FROM accounts WHERE email_folded = %(email_folded)s
