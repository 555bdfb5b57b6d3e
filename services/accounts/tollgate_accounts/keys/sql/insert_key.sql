-- The first version of a key; its text is not stored, only its hash and its hint.
INSERT INTO api_keys (id, account_id, name, key_hash, hint, models, expires_at)
VALUES (%(id)s, %(account_id)s, %(name)s, %(key_hash)s, %(hint)s, %(models)s, %(expires_at)s)
RETURNING id::text AS id, name, hint, models, expires_at, created_at, revoked_at, version
