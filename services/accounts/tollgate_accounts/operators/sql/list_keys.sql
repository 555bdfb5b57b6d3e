-- Returns a page of an account's keys as operators see them, newest first.
SELECT id::text AS id, name, hint, created_at, expires_at, revoked_at
FROM api_keys
WHERE account_id = %(account_id)s AND (%(after)s::uuid IS NULL OR id < %(after)s::uuid)
ORDER BY id DESC
LIMIT %(limit)s
