-- Usage may come before any credit. In the order of ids, as everyone who waits for another's account does.
INSERT INTO accounts (account_id)
SELECT account_id FROM unnest(%(account_ids)s::text[]) AS wanted (account_id)
WHERE NOT EXISTS (SELECT FROM accounts WHERE accounts.account_id = wanted.account_id)
ORDER BY account_id COLLATE "C"
ON CONFLICT (account_id) DO NOTHING
