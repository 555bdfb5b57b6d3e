-- How often an account has redeemed codes of a campaign. Its row is locked by then, so none of its own comes between.
SELECT count(*) AS redemptions FROM promo_redemptions
WHERE campaign_id = %(campaign_id)s AND account_id = %(account_id)s
