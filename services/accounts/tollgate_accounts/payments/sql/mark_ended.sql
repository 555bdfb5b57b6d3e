-- Marks a payment as failed or expired, unless it is paid.
UPDATE payments SET state = %(state)s WHERE id = %(id)s AND state = 'pending'
