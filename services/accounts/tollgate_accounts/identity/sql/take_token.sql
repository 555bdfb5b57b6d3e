-- A token works once: of two concurrent uses, one gets a row.
DELETE FROM mail_tokens WHERE token_hash = %(token_hash)s AND purpose = ANY(%(purposes)s::text[]) AND expires_at > now()
RETURNING person_id::text AS person_id
