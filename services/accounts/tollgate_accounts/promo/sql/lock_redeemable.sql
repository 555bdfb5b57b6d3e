-- Locks the rows that the transaction increments at its end, before its redemption refers to them. Without this,
-- concurrent redemptions first share-locked and then updated these rows, and PostgreSQL 15 failed with the internal
-- error "new multixact has more than one updating member".
SELECT 1 AS locked FROM promo_codes JOIN campaigns ON campaigns.id = campaign_id
WHERE promo_codes.id = %(promo_code_id)s
FOR NO KEY UPDATE
