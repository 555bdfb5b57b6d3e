-- Finds a code with its campaign's terms, as the command line created both.
SELECT code, amount_nano, starts_at, ends_at, promo_codes.max_redemptions, credit_expires_after
FROM promo_codes JOIN campaigns ON campaigns.id = campaign_id
WHERE code = %(code)s
