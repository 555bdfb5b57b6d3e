-- A session that was about this organization is about another one of the person's; null where they have none.
UPDATE sessions SET account_id = (
    SELECT account_id FROM memberships WHERE person_id = %(person_id)s ORDER BY created_at, account_id LIMIT 1
)
WHERE person_id = %(person_id)s AND account_id = %(account_id)s
