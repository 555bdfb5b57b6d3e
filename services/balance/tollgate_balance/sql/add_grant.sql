-- Insert a grant, none of which has burned. No row is returned if its id exists.
INSERT INTO grants (grant_id, account_id, amount_nano, remaining_nano, source, reason, priority, granted_at, expires_at)
VALUES (
    %(grant_id)s, %(account_id)s, %(amount_nano)s, %(amount_nano)s, %(source)s, %(reason)s, %(priority)s, %(at)s,
    %(expires_at)s
)
ON CONFLICT (grant_id) DO NOTHING
RETURNING grant_id
