-- Lock accounts in the order of their ids, so that two transactions cannot deadlock. Foreign keys to the rows stay
-- possible.
SELECT account_id, posted_nano, held_nano, due_nano, version, unburned_nano, expiring_nano FROM accounts
WHERE account_id = ANY(%(account_ids)b)
ORDER BY account_id
FOR NO KEY UPDATE
