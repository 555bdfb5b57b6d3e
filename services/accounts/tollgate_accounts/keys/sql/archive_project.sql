-- The row remains for the usage that refers to it. Its lock keeps keys from joining meanwhile.
UPDATE projects SET archived_at = now()
WHERE id = %(id)s AND account_id = %(account_id)s AND archived_at IS NULL
RETURNING name
