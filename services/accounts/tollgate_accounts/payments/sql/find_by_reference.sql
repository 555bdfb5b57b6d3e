-- For a call that is repeated.
SELECT id::text AS id FROM payments WHERE method = %(method)s AND reference = %(reference)s
