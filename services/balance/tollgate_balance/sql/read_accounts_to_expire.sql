-- Some of the accounts with grants whose time has come, by PostgreSQL's clock; those that wait longest first.
SELECT account_id FROM grants
WHERE expires_at <= now() AND expired_at IS NULL AND remaining_nano > 0
GROUP BY account_id
ORDER BY min(expires_at)
LIMIT %(limit)s
