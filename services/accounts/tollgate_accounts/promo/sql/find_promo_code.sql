-- A code as it was created.
SELECT code, amount_nano, starts_at, ends_at, max_redemptions, credit_expires_after
FROM promo_codes WHERE code = %(code)s
