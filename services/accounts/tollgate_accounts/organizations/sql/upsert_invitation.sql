-- One for each e-mail: a second invitation takes the place of the first, whose token then works no more.
INSERT INTO invitations (id, account_id, email, email_folded, role, invited_by, expires_at)
VALUES (
    %(id)s, %(account_id)s, %(email)s, %(email_folded)s, %(role)s, %(invited_by)s, now() + %(lifetime)s
)
ON CONFLICT (account_id, email_folded) DO UPDATE SET
    id = excluded.id, email = excluded.email, role = excluded.role, invited_by = excluded.invited_by,
    token_hash = NULL, created_at = now(), expires_at = excluded.expires_at
RETURNING id::text AS id, email, role, created_at, expires_at
