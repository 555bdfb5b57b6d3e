-- What a person's older mails carried is of no use once one of them was used, and what has expired never is.
DELETE FROM mail_tokens WHERE person_id = %(person_id)s AND (purpose = %(purpose)s OR expires_at <= now())
