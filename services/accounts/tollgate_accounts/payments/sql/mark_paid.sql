-- The amount is what was paid in truth. A payment that is paid stays so, whatever event comes late.
UPDATE payments SET state = 'paid', paid_at = now(), amount_nano = %(amount_nano)s WHERE id = %(id)s AND state <> 'paid'
