-- As for a code: no row when the campaign is used up.
UPDATE campaigns SET redemptions = redemptions + 1
WHERE id = %(campaign_id)s AND (max_redemptions IS NULL OR redemptions < max_redemptions)
RETURNING redemptions
