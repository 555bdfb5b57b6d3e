-- All codes of a campaign with their uses, for the operator's file.
SELECT code, redemptions FROM promo_codes WHERE campaign_id = %(campaign_id)s ORDER BY id
