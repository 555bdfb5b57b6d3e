-- Open the current UTC windows of the budgets that grants name, and update the amounts of changed budgets. The caller
-- holds the locks of the accounts and names each budget once.
INSERT INTO allotments (account_id, budget_id, period, begins_at, ends_at, amount_nano)
SELECT account_id, budget_id, period,
    CASE period WHEN 'total' THEN 'epoch' ELSE date_trunc(period, now(), 'UTC') END,
    CASE period
        WHEN 'day' THEN (date_trunc('day', now() AT TIME ZONE 'UTC') + interval '1 day') AT TIME ZONE 'UTC'
        WHEN 'month' THEN (date_trunc('month', now() AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC'
    END,
    amount_nano
FROM unnest(%(account_ids)b::text[], %(budget_ids)b::text[], %(periods)b::text[], %(amounts)b::bigint[])
    AS named (account_id, budget_id, period, amount_nano)
ON CONFLICT (account_id, budget_id, period, begins_at) DO UPDATE SET amount_nano = excluded.amount_nano
WHERE allotments.amount_nano <> excluded.amount_nano
