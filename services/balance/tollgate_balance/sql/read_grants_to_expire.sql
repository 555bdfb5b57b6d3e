-- Read the grants of locked accounts to expire. Read again under the lock, because another instance may have been
-- faster.
SELECT grant_id FROM grants
WHERE account_id = ANY(%(account_ids)s) AND expires_at <= now() AND expired_at IS NULL AND remaining_nano > 0
