-- Runs at each sign-in, so that a person's old sessions do not accumulate.
DELETE FROM sessions WHERE person_id = %(person_id)s AND expires_at <= now()
