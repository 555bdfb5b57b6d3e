-- Returns all codes of a campaign with their redemptions, for the CSV file.
SELECT code, redemptions FROM promo_codes WHERE campaign_id = %(campaign_id)s ORDER BY id
