-- Who changes the password must know the one before.
SELECT password_hash FROM persons WHERE id = %(id)s
