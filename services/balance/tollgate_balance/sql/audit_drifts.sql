-- Accounts whose row is not the sum of their postings or of their leases' holds, in one snapshot. It reads the whole
-- ledger: a stored sum can only be proven from all of its rows.
WITH ledger AS (
    SELECT account_id, sum(CASE credit WHEN 'customer_credit' THEN amount_nano ELSE -amount_nano END) AS posted_nano
    FROM postings
    GROUP BY account_id
),
holds AS (
    SELECT account_id, sum(greatest(0, authorised_nano - settled_nano)) AS held_nano
    FROM leases
    WHERE state <> 'released'
    GROUP BY account_id
)
SELECT 'posted_nano' AS what, account_id, coalesce(a.posted_nano, 0) AS stored, coalesce(l.posted_nano, 0) AS rows
FROM accounts AS a FULL JOIN ledger AS l USING (account_id)
WHERE coalesce(a.posted_nano, 0) <> coalesce(l.posted_nano, 0)
UNION ALL
SELECT 'held_nano', account_id, a.held_nano, coalesce(h.held_nano, 0)
FROM accounts AS a LEFT JOIN holds AS h USING (account_id)
WHERE a.held_nano <> coalesce(h.held_nano, 0)
ORDER BY account_id, what
LIMIT %(limit)s
