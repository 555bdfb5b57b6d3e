-- Keeps the project's budgets from changing until the key's record is written with them.
SELECT budgets FROM projects
WHERE id = %(id)s AND account_id = %(account_id)s AND archived_at IS NULL
FOR SHARE
