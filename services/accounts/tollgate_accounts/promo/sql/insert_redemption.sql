-- Returns no row if the account has redeemed this code before.
INSERT INTO promo_redemptions (grant_id, promo_code_id, campaign_id, account_id, person_id, amount_nano, expires_at)
VALUES (
    %(grant_id)s, %(promo_code_id)s, %(campaign_id)s, %(account_id)s, %(person_id)s, %(amount_nano)s, %(expires_at)s
)
ON CONFLICT (promo_code_id, account_id) DO NOTHING
RETURNING grant_id::text AS grant_id, amount_nano, expires_at, redeemed_at
