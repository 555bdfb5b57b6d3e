-- The one that a person founded when they signed up.
SELECT account_id::text AS account_id FROM memberships WHERE person_id = %(person_id)s AND role = 'owner'
ORDER BY created_at, account_id LIMIT 1
