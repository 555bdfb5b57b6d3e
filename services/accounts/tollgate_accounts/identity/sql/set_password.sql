-- After the old one, or a mail's token, was shown.
UPDATE persons SET password_hash = %(password_hash)s WHERE id = %(id)s RETURNING email
