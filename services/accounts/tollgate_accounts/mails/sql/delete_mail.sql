-- The mail was sent, or is no longer needed.
DELETE FROM mails WHERE id = %(id)s
