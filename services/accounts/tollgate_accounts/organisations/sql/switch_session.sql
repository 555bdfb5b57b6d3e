-- No row comes back unless the person is a member there.
UPDATE sessions SET account_id = memberships.account_id
FROM memberships
WHERE sessions.id = %(session_id)s AND memberships.person_id = sessions.person_id
    AND memberships.account_id = %(account_id)s
RETURNING sessions.id
