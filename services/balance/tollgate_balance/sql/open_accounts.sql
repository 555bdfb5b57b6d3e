-- Open accounts. Usage may arrive before any credit, and another transaction may open an account at the same time.
INSERT INTO accounts (account_id)
SELECT account_id FROM unnest(%(account_ids)b::text[]) AS missing (account_id)
ORDER BY account_id COLLATE "C"
ON CONFLICT (account_id) DO NOTHING
