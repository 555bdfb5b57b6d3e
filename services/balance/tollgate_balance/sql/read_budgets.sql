-- Read the spending and holds of budgets in their current periods: 0 for budgets that no grant has named yet.
SELECT budget_id, period, amount_nano, coalesce(spent_nano, 0) AS spent_nano, coalesce(held_nano, 0) AS held_nano,
    CASE period
        WHEN 'day' THEN (date_trunc('day', now() AT TIME ZONE 'UTC') + interval '1 day') AT TIME ZONE 'UTC'
        WHEN 'month' THEN (date_trunc('month', now() AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC'
    END AS resets_at
FROM unnest(%(budget_ids)s::text[], %(periods)s::text[], %(amounts)s::bigint[])
    WITH ORDINALITY AS named (budget_id, period, amount_nano, place)
LEFT JOIN (
    SELECT budget_id, period, spent_nano, held_nano FROM allotments
    WHERE account_id = %(account_id)s AND budget_id = ANY(%(budget_ids)s)
        AND begins_at = CASE period WHEN 'total' THEN 'epoch' ELSE date_trunc(period, now(), 'UTC') END
) AS current USING (budget_id, period)
ORDER BY place
