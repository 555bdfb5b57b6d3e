-- Returns the budgets that the keys of each project share.
SELECT id::text AS id, budgets FROM projects WHERE account_id = %(account_id)s
