-- Finds the accounts with a key of this prefix, rarely more than one. The pattern's only wildcard is its last
-- character.
SELECT DISTINCT organisations.id::text AS id, organisations.name, organisations.created_at, organisations.suspended_at
FROM organisations JOIN api_keys ON api_keys.account_id = organisations.id
WHERE api_keys.hint LIKE %(pattern)s
ORDER BY id
LIMIT 50
