-- Read one account's balance.
SELECT account_id, posted_nano, held_nano, due_nano, version, unburned_nano, expiring_nano FROM accounts
WHERE account_id = %(account_id)s
