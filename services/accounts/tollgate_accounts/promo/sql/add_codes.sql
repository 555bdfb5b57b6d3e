-- Codes of a campaign, as many as it gets at once; those that exist are left out, and the caller sees how many are new.
INSERT INTO promo_codes (id, campaign_id, code, max_redemptions)
SELECT added.id, %(campaign_id)s, added.code, %(max_redemptions)s
FROM unnest(%(ids)s::uuid[], %(codes)s::text[]) AS added (id, code)
ON CONFLICT (code) DO NOTHING
RETURNING code
