-- Returns a page of campaigns, newest first. Ids are in the order of time.
SELECT id::text AS id, name, amount_nano, starts_at, ends_at, max_redemptions, max_per_account, audience,
    credit_expires_after, redemptions, created_at, stopped_at,
    (SELECT count(*) FROM promo_codes WHERE campaign_id = campaigns.id) AS codes
FROM campaigns
WHERE %(after)s::uuid IS NULL OR id < %(after)s::uuid
ORDER BY id DESC
LIMIT %(limit)s
