-- Failed or expired; only a payment that nobody has paid.
UPDATE payments SET state = %(state)s WHERE id = %(id)s AND state = 'pending'
