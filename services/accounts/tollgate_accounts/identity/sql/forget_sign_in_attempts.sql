-- The right password was given: the wrong ones before it were slips.
DELETE FROM sign_in_attempts WHERE email_folded = %(email_folded)s AND address = %(address)s
