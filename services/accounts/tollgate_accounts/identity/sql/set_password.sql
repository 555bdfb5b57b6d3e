-- Runs after the current password or a mail's token has been verified.
UPDATE persons SET password_hash = %(password_hash)s WHERE id = %(id)s RETURNING email
