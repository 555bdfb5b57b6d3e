-- No row comes back when the code is used up. The row is locked by then, so no two take the last use.
UPDATE promo_codes SET redemptions = redemptions + 1
WHERE id = %(promo_code_id)s AND (max_redemptions IS NULL OR redemptions < max_redemptions)
RETURNING redemptions
