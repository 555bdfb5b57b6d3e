-- No row comes back unless the person is a member there, and stays one until the transaction ends.
UPDATE sessions SET account_id = membership.account_id
FROM (
    SELECT memberships.account_id
    FROM memberships JOIN sessions AS asking ON asking.person_id = memberships.person_id
    WHERE asking.id = %(session_id)s AND memberships.account_id = %(account_id)s
    FOR SHARE OF memberships
) AS membership
WHERE sessions.id = %(session_id)s
RETURNING sessions.id
