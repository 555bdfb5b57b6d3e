-- A code that exists is left as it is; the caller compares.
INSERT INTO promo_codes (id, code, amount_nano, starts_at, ends_at, max_redemptions, credit_expires_after)
VALUES (%(id)s, %(code)s, %(amount_nano)s, %(starts_at)s, %(ends_at)s, %(max_redemptions)s, %(credit_expires_after)s)
ON CONFLICT (code) DO NOTHING
