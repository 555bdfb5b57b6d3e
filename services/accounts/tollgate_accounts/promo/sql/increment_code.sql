-- Returns no row if the code is exhausted. The row is locked, so no two redemptions take the last use.
UPDATE promo_codes SET redemptions = redemptions + 1
WHERE id = %(promo_code_id)s AND (max_redemptions IS NULL OR redemptions < max_redemptions)
RETURNING redemptions
