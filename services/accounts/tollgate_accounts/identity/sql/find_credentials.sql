-- Finds the hash that a password is verified against.
SELECT id::text AS person_id, email, password_hash, email_verified_at IS NOT NULL AS is_verified
FROM persons WHERE email_folded = %(email_folded)s
