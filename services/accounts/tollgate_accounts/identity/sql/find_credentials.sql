-- What a password is checked against.
SELECT id::text AS person_id, password_hash FROM persons WHERE email_folded = %(email_folded)s
