-- Adds codes to a campaign and returns those that did not exist.
INSERT INTO promo_codes (id, campaign_id, code, max_redemptions)
SELECT added.id, %(campaign_id)s, added.code, %(max_redemptions)s
FROM unnest(%(ids)s::uuid[], %(codes)s::text[]) AS added (id, code)
ON CONFLICT (code) DO NOTHING
RETURNING code
