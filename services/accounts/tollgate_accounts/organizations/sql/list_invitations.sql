-- What has been sent and not been accepted yet.
SELECT id::text AS id, email, role, created_at, expires_at
FROM invitations WHERE account_id = %(account_id)s AND expires_at > now()
ORDER BY id
