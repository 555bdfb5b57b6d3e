-- Returns no row if the campaign is exhausted.
UPDATE campaigns SET redemptions = redemptions + 1
WHERE id = %(campaign_id)s AND (max_redemptions IS NULL OR redemptions < max_redemptions)
RETURNING redemptions
