-- In the order of ids, so that two transactions never wait for each other. References to the row stay possible.
SELECT account_id, posted_nano, held_nano, due_nano, version, unburned_nano, expiring_nano FROM accounts
WHERE account_id = ANY(%(account_ids)b)
ORDER BY account_id
FOR NO KEY UPDATE
