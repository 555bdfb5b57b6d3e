-- Whose session this is; asked at the start of every call.
SELECT accounts.id::text AS id, accounts.email, accounts.created_at
FROM sessions JOIN accounts ON accounts.id = sessions.account_id
WHERE sessions.token_hash = %(token_hash)s AND sessions.expires_at > now()
