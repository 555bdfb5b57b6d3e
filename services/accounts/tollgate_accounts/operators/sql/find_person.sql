-- Whom an operator names by their e-mail.
SELECT id::text AS id FROM persons WHERE email_folded = %(email_folded)s
