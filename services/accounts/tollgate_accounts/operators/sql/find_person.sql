-- Whom an operator names by their e-mail: who reads its mails, not whoever signed up with it.
SELECT id::text AS id FROM persons WHERE email_folded = %(email_folded)s AND email_verified_at IS NOT NULL
