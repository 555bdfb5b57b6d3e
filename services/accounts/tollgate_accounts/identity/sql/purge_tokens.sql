-- Deletes the person's other tokens of this purpose once one of them is used, and all expired ones.
DELETE FROM mail_tokens WHERE person_id = %(person_id)s AND (purpose = %(purpose)s OR expires_at <= now())
