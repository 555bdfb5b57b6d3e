-- Locked, so that of two revocations at once the second sees what the first did.
SELECT key_hash, revoked_at FROM api_keys WHERE id = %(id)s AND account_id = %(account_id)s FOR UPDATE
