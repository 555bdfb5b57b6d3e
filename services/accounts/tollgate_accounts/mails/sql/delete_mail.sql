-- It was sent, or there was nobody to send it to.
DELETE FROM mails WHERE id = %(id)s
