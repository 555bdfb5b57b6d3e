-- Records the amount that was actually paid. A paid payment stays paid, whichever event arrives late.
UPDATE payments SET state = 'paid', paid_at = now(), amount_nano = %(amount_nano)s WHERE id = %(id)s AND state <> 'paid'
