-- No row comes back when the code is used up. The condition is read again under the row's lock, so no two take the
-- last use; it runs last in its transaction, because everyone who redeems this code waits for that lock.
UPDATE promo_codes SET redemptions = redemptions + 1
WHERE id = %(promo_code_id)s AND (max_redemptions IS NULL OR redemptions < max_redemptions)
RETURNING redemptions
