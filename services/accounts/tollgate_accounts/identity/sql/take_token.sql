-- A token works once: of two who use it at the same moment, one gets a row.
DELETE FROM mail_tokens WHERE token_hash = %(token_hash)s AND purpose = ANY(%(purposes)s::text[]) AND expires_at > now()
RETURNING person_id::text AS person_id
