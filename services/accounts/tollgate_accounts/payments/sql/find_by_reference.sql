-- Finds the payment of a repeated request.
SELECT id::text AS id FROM payments WHERE method = %(method)s AND reference = %(reference)s
