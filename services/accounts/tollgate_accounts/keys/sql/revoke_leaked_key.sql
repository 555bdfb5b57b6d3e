-- By the hash of what somebody found; no row comes back if it is no key, or one that has ended before.
UPDATE api_keys SET revoked_at = now(), version = version + 1
WHERE key_hash = %(key_hash)s AND revoked_at IS NULL
RETURNING id::text AS id, account_id::text AS account_id, name, hint, version
