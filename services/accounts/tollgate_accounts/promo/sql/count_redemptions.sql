-- Counts the redemptions of an account and a person, including the current one. Both rows are locked, so none of their
-- own comes between.
SELECT count(*) FILTER (WHERE campaign_id = %(campaign_id)s AND account_id = %(account_id)s) AS of_account,
    count(*) FILTER (WHERE campaign_id = %(campaign_id)s AND person_id = %(person_id)s) AS of_person,
    count(*) FILTER (WHERE promo_code_id = %(promo_code_id)s AND person_id = %(person_id)s) AS of_person_and_code,
    count(*) FILTER (WHERE person_id = %(person_id)s AND account_id <> %(account_id)s) AS elsewhere
FROM promo_redemptions WHERE account_id = %(account_id)s OR person_id = %(person_id)s
