-- Read grants with a remainder, before unburned usage is deducted. The caller holds the locks of their accounts,
-- without which grants never change.
SELECT grant_id, account_id, source, remaining_nano, priority, granted_at, expires_at,
    expired_at IS NOT NULL AS is_expired, expired_nano
FROM grants
WHERE account_id = ANY(%(account_ids)b) AND remaining_nano > 0
