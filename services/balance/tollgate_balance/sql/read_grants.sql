-- Read a page of an account's grants, newest first, with their remainders after unburned usage is deducted from the
-- open ones in the order of `tollgate_balance.credits.portfolio`. The filter for open grants applies to both tables, so
-- that spent grants, however many, are not read.
WITH burning AS (
    SELECT grant_id,
        (remaining_nano - least(remaining_nano, greatest(0, unburned_nano - before_nano)))::bigint AS remaining_nano
    FROM (
        SELECT grant_id, g.remaining_nano, a.unburned_nano,
            sum(g.remaining_nano) OVER (ORDER BY priority, expires_at, granted_at, grant_id) - g.remaining_nano
                AS before_nano
        FROM grants AS g JOIN accounts AS a USING (account_id)
        WHERE account_id = %(account_id)s AND g.remaining_nano > 0
    ) AS open
)
SELECT grant_id, amount_nano, coalesce(b.remaining_nano, 0) AS remaining_nano, expired_nano, source, reason, priority,
    granted_at, expires_at, expired_at
FROM grants LEFT JOIN burning AS b USING (grant_id)
WHERE account_id = %(account_id)s AND grant_id < %(before)s
    AND (NOT %(only_open)s OR (grants.remaining_nano > 0 AND b.remaining_nano > 0))
ORDER BY grant_id DESC
LIMIT %(limit)s
