-- Finds the terms of a redemption of this code, and whether it is valid now.
SELECT promo_codes.id::text AS id, campaign_id::text AS campaign_id, amount_nano,
    now() + credit_expires_after AS expires_at, max_per_account, audience = 'new' AS for_new_only,
    coalesce(starts_at > now(), false) AS is_early,
    coalesce(ends_at <= now(), false) OR stopped_at IS NOT NULL AS is_over
FROM promo_codes JOIN campaigns ON campaigns.id = campaign_id
WHERE code = %(code)s
