-- Renewals ask the account's leases to shrink until then.
INSERT INTO shortages (account_id, until) VALUES (%(account_id)s, now() + %(lasting)s)
ON CONFLICT (account_id) DO UPDATE SET until = excluded.until
