-- Asked at the start of every operator's call, so that who is one no longer is stopped at once. An e-mail that was never
-- confirmed may be a stranger's sign-up.
SELECT person_id FROM operators JOIN persons ON persons.id = operators.person_id
WHERE person_id = %(person_id)s AND email_verified_at IS NOT NULL
