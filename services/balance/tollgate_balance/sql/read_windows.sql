-- Read the windows of leases. The caller holds the locks of their accounts, without which windows never change.
SELECT allotment_id AS window_id, account_id, budget_id, period, amount_nano, spent_nano, held_nano, ends_at,
    (extract(epoch FROM ends_at - now()) * 1000)::bigint AS ends_in_ms
FROM allotments
WHERE allotment_id = ANY(%(window_ids)b)
