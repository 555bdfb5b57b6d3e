-- Read the current windows of the budgets that grants name, after `open_windows`.
SELECT allotment_id AS window_id, account_id, budget_id, period, amount_nano, spent_nano, held_nano, ends_at,
    (extract(epoch FROM ends_at - now()) * 1000)::bigint AS ends_in_ms
FROM allotments
JOIN unnest(%(account_ids)b::text[], %(budget_ids)b::text[], %(periods)b::text[])
    AS named (account_id, budget_id, period) USING (account_id, budget_id, period)
WHERE begins_at = CASE period WHEN 'total' THEN 'epoch' ELSE date_trunc(period, now(), 'UTC') END
