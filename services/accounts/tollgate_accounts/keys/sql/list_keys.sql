-- A page of an account's keys, newest first; the next page begins after the last id of this one.
SELECT id::text AS id, name, hint, models, expires_at, created_at, revoked_at, version
FROM api_keys
WHERE account_id = %(account_id)s AND (%(after)s::uuid IS NULL OR id < %(after)s::uuid)
ORDER BY id DESC
LIMIT %(limit)s
