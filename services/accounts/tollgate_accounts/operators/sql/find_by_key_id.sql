-- Finds the account of a key, revoked or not.
SELECT organisations.id::text AS id, organisations.name, organisations.created_at, organisations.suspended_at
FROM organisations JOIN api_keys ON api_keys.account_id = organisations.id WHERE api_keys.id = %(key_id)s
