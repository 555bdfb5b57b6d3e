-- Runs after the right password: the wrong ones before it were slips.
DELETE FROM attempts WHERE action = %(action)s AND subject = %(subject)s
