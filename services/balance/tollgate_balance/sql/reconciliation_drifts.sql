-- Find accounts whose row differs from the sum of their postings, grants, reductions or leases; grants whose expiry
-- differs from its postings; and budgets that differ from their leases. One snapshot. It reads the whole ledger,
-- because a stored sum can only be proven from all its rows.
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
),
credit AS (
    SELECT account_id, sum(remaining_nano) AS remaining_nano,
        sum(remaining_nano) FILTER (WHERE expired_at IS NOT NULL) AS expiring_nano
    FROM grants
    GROUP BY account_id
),
counted AS (
    SELECT allotment_id, sum(settled_nano) AS spent_nano,
        sum(CASE state WHEN 'released' THEN 0 ELSE greatest(0, authorised_nano - settled_nano) END) AS held_nano
    FROM leases CROSS JOIN unnest(allotment_ids) AS allotment_id
    GROUP BY allotment_id
),
budgets AS (
    SELECT 'budget ' || budget_id || ' of account ' || account_id || ', ' || period || ' from ' || begins_at AS "where",
        b.spent_nano, b.held_nano, coalesce(c.spent_nano, 0) AS spent_rows, coalesce(c.held_nano, 0) AS held_rows
    FROM allotments AS b LEFT JOIN counted AS c USING (allotment_id)
),
reductions AS (
    SELECT account_id, sum(due_nano) AS due_nano FROM adjustments WHERE due_nano > 0 GROUP BY account_id
),
expiries AS (
    SELECT account_id, reference AS grant_id, sum(amount_nano) AS expired_nano
    FROM postings
    WHERE kind = 'expiry'
    GROUP BY account_id, reference
)
SELECT 'posted_nano of accounts' AS what, 'account ' || account_id AS "where", coalesce(a.posted_nano, 0) AS stored,
    coalesce(l.posted_nano, 0) AS rows
FROM accounts AS a FULL JOIN ledger AS l USING (account_id)
WHERE coalesce(a.posted_nano, 0) <> coalesce(l.posted_nano, 0)
UNION ALL
SELECT 'held_nano of accounts', 'account ' || account_id, a.held_nano, coalesce(h.held_nano, 0)
FROM accounts AS a LEFT JOIN holds AS h USING (account_id)
WHERE a.held_nano <> coalesce(h.held_nano, 0)
UNION ALL
SELECT 'posted_nano and unburned_nano of accounts', 'account ' || account_id, a.posted_nano + a.unburned_nano,
    coalesce(c.remaining_nano, 0)
FROM accounts AS a LEFT JOIN credit AS c USING (account_id)
WHERE a.posted_nano + a.unburned_nano <> coalesce(c.remaining_nano, 0)
UNION ALL
SELECT 'expiring_nano of accounts', 'account ' || account_id, a.expiring_nano, coalesce(c.expiring_nano, 0)
FROM accounts AS a LEFT JOIN credit AS c USING (account_id)
WHERE a.expiring_nano <> coalesce(c.expiring_nano, 0)
UNION ALL
SELECT 'due_nano of accounts', 'account ' || account_id, a.due_nano, coalesce(r.due_nano, 0)
FROM accounts AS a LEFT JOIN reductions AS r USING (account_id)
WHERE a.due_nano <> coalesce(r.due_nano, 0)
UNION ALL
SELECT 'expired_nano of grants', 'grant ' || grant_id, coalesce(g.expired_nano, 0), coalesce(e.expired_nano, 0)
FROM grants AS g FULL JOIN expiries AS e USING (account_id, grant_id)
WHERE coalesce(g.expired_nano, 0) <> coalesce(e.expired_nano, 0)
UNION ALL
SELECT 'spent_nano of budgets', "where", spent_nano, spent_rows FROM budgets WHERE spent_nano <> spent_rows
UNION ALL
SELECT 'held_nano of budgets', "where", held_nano, held_rows FROM budgets WHERE held_nano <> held_rows
ORDER BY what, "where"
LIMIT %(limit)s
