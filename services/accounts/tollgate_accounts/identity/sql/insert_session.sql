-- Stores only the token's hash, so that nobody who reads this table can sign in with it.
INSERT INTO sessions (id, token_hash, person_id, account_id, user_agent, address, expires_at)
VALUES (
    %(id)s, %(token_hash)s, %(person_id)s,
    (
        SELECT account_id FROM memberships WHERE person_id = %(person_id)s
        ORDER BY created_at, account_id LIMIT 1
    ),
    %(user_agent)s, %(address)s, now() + %(lifetime)s
)
RETURNING expires_at
