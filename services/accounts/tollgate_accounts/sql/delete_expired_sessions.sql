-- Run at each sign-in, so that an account's old sessions do not pile up.
DELETE FROM sessions WHERE account_id = %(account_id)s AND expires_at <= now()
