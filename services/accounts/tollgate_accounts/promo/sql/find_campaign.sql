-- Finds one campaign, with the number of its codes.
SELECT id::text AS id, name, amount_nano, starts_at, ends_at, max_redemptions, max_per_account, audience,
    credit_expires_after, redemptions, created_at, stopped_at,
    (SELECT count(*) FROM promo_codes WHERE campaign_id = campaigns.id) AS codes
FROM campaigns WHERE id = %(id)s
