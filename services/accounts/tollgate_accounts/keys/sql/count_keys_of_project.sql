-- Counts the keys that are active: neither revoked nor expired.
SELECT count(*) AS keys FROM api_keys
WHERE project_id = %(project_id)s AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
