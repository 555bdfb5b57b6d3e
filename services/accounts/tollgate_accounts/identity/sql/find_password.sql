-- A password change requires the current password.
SELECT password_hash FROM persons WHERE id = %(id)s
