-- Finds a person by their verified e-mail address. An unverified one may be a stranger's sign-up.
SELECT id::text AS id FROM persons WHERE email_folded = %(email_folded)s AND email_verified_at IS NOT NULL
