-- Runs on every operator request, so that a revoked operator loses access at once. The address must be verified,
-- because anyone can sign up with an address.
SELECT person_id FROM operators JOIN persons ON persons.id = operators.person_id
WHERE person_id = %(person_id)s AND email_verified_at IS NOT NULL
