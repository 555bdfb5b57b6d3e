-- Only the token's hash is kept: who reads this table cannot sign in with it.
INSERT INTO sessions (token_hash, account_id, expires_at)
VALUES (%(token_hash)s, %(account_id)s, now() + %(lifetime)s)
RETURNING expires_at
