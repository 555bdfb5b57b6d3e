-- The rows that the transaction counts on at its end, before its redemption refers to them. Redemptions at once that each
-- referred to them first and then, some of them in vain, updated them, were once one too many for PostgreSQL 15: "new
-- multixact has more than one updating member", an internal error.
SELECT 1 AS locked FROM promo_codes JOIN campaigns ON campaigns.id = campaign_id
WHERE promo_codes.id = %(promo_code_id)s
FOR NO KEY UPDATE
