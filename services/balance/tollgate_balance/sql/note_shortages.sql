-- Until then, renewals ask the accounts' leases to shrink.
INSERT INTO shortages (account_id, until)
SELECT account_id, now() + %(lasting)s FROM unnest(%(account_ids)s::text[]) AS short (account_id)
ON CONFLICT (account_id) DO UPDATE SET until = excluded.until
