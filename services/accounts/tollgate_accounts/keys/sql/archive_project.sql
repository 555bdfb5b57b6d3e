-- It stays for the usage that names it. Locked, so that no key joins it meanwhile.
UPDATE projects SET archived_at = now()
WHERE id = %(id)s AND account_id = %(account_id)s AND archived_at IS NULL
RETURNING name
