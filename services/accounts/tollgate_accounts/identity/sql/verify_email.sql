-- Keeps the time of the first verification, and returns the sign-up's promo code once, to be redeemed.
UPDATE persons AS changed SET email_verified_at = coalesce(changed.email_verified_at, now()), sign_up_promo_code = NULL
FROM (SELECT id, sign_up_promo_code, email_verified_at FROM persons WHERE id = %(id)s FOR UPDATE) AS before
WHERE changed.id = before.id
RETURNING changed.email, before.sign_up_promo_code AS promo_code, before.email_verified_at IS NULL AS is_first
