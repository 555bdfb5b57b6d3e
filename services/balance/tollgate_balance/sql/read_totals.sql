-- Totals over all accounts. Each part reads a partial index, or only rows of unreleased boots and current windows, so
-- that finished rows, however many, cost nothing.
SELECT *
FROM (
    SELECT count(*) AS leases_open, coalesce(sum(greatest(0, authorised_nano - settled_nano)), 0) AS leases_held_nano
    FROM leases
    WHERE state = 'open' AND boot_id IN (
        SELECT boot_id FROM boots WHERE fenced_at IS NULL
        UNION ALL
        SELECT boot_id FROM boots WHERE fenced_at IS NOT NULL AND released_at IS NULL
    )
) AS held
CROSS JOIN (SELECT count(*) AS accounts_short FROM shortages WHERE until > now()) AS short
CROSS JOIN (
    SELECT count(*) AS adjustments_due, coalesce(sum(due_nano), 0) AS adjustments_due_nano
    FROM adjustments
    WHERE due_nano > 0
) AS due
CROSS JOIN (
    SELECT count(*) FILTER (WHERE expires_at > now()) AS grants_expiring,
        coalesce(sum(remaining_nano) FILTER (WHERE expires_at > now()), 0) AS grants_expiring_nano,
        count(*) FILTER (WHERE expires_at <= now()) AS grants_overdue
    FROM grants
    WHERE expired_at IS NULL AND remaining_nano > 0 AND expires_at < now() + interval '1 day'
) AS expiring
CROSS JOIN (
    SELECT count(*) AS budgets_current, count(*) FILTER (WHERE spent_nano + held_nano >= amount_nano) AS budgets_exhausted
    FROM allotments
    WHERE ends_at > now() OR ends_at IS NULL
) AS budgets
