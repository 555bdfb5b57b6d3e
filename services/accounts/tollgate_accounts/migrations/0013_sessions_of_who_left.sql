-- Sessions that are still about an organisation which their person has left.
UPDATE sessions SET account_id = (
    SELECT account_id FROM memberships WHERE memberships.person_id = sessions.person_id
    ORDER BY created_at, account_id LIMIT 1
)
WHERE NOT EXISTS (
    SELECT FROM memberships
    WHERE memberships.person_id = sessions.person_id AND memberships.account_id = sessions.account_id
);
