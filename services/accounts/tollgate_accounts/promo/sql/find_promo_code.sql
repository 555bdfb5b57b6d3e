-- A code with the terms of its campaign, as the command that makes both created them.
SELECT code, amount_nano, starts_at, ends_at, promo_codes.max_redemptions, credit_expires_after
FROM promo_codes JOIN campaigns ON campaigns.id = campaign_id
WHERE code = %(code)s
