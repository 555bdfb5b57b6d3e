-- Revokes by the hash of the text that was found. Returns no row if it is not a key, or is already revoked.
UPDATE api_keys SET revoked_at = now(), version = version + 1
WHERE key_hash = %(key_hash)s AND revoked_at IS NULL
RETURNING id::text AS id, account_id::text AS account_id, name, hint, version
