-- The mail server did not take it.
UPDATE mails SET tries = tries + 1, next_try_at = now() + %(delay)s WHERE id = %(id)s
