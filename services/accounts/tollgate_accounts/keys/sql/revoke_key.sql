-- The row remains, because usage is shown by key.
UPDATE api_keys SET revoked_at = now(), version = version + 1
WHERE id = %(id)s AND account_id = %(account_id)s
RETURNING version
