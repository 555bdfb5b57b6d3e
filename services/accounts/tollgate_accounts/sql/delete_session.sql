-- Sign-out.
DELETE FROM sessions WHERE token_hash = %(token_hash)s AND account_id = %(account_id)s
