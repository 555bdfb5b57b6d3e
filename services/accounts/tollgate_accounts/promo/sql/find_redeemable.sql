-- What a redemption of this code would give, and whether now is within its time.
SELECT id::text AS id, amount_nano, now() + credit_expires_after AS expires_at,
    coalesce(starts_at > now(), false) AS is_early, coalesce(ends_at <= now(), false) AS is_over
FROM promo_codes WHERE code = %(code)s
