-- Read an account's budgets that grants have named in their current periods, with the newest amounts.
SELECT budget_id, period, amount_nano, spent_nano, held_nano, ends_at AS resets_at FROM allotments
WHERE account_id = %(account_id)s
    AND begins_at = CASE period WHEN 'total' THEN 'epoch' ELSE date_trunc(period, now(), 'UTC') END
ORDER BY budget_id, period
LIMIT %(limit)s
