-- The mail server did not accept the mail.
UPDATE mails SET tries = tries + 1, next_try_at = now() + %(delay)s WHERE id = %(id)s
