-- Read some accounts with grants that have reached their expiry time by PostgreSQL's clock, longest overdue first.
SELECT account_id FROM grants
WHERE expires_at <= now() AND expired_at IS NULL AND remaining_nano > 0
GROUP BY account_id
ORDER BY min(expires_at)
LIMIT %(limit)s
