-- Switches the sessions in this organization to another one the person belongs to, or to none.
UPDATE sessions SET account_id = (
    SELECT account_id FROM memberships WHERE person_id = %(person_id)s ORDER BY created_at, account_id LIMIT 1
)
WHERE person_id = %(person_id)s AND account_id = %(account_id)s
