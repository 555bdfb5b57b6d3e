-- What a code gives, and to whom, is its campaign's business: a campaign has one code for many, or many codes for one
-- use each. Every code that was there before becomes a campaign of its own name.
CREATE TABLE campaigns (
    id uuid PRIMARY KEY,
    name text NOT NULL UNIQUE,
    amount_nano bigint NOT NULL CHECK (amount_nano > 0),
    starts_at timestamptz(3),
    ends_at timestamptz(3),
    -- In all; null is no bound.
    max_redemptions bigint CHECK (max_redemptions > 0),
    max_per_account integer NOT NULL DEFAULT 1 CHECK (max_per_account > 0),
    -- 'new' is an account that has never had any credit.
    audience text NOT NULL DEFAULT 'all' CHECK (audience IN ('all', 'new')),
    credit_expires_after interval CHECK (credit_expires_after > interval '0'),
    redemptions bigint NOT NULL DEFAULT 0 CHECK (redemptions <= max_redemptions),
    created_at timestamptz(3) NOT NULL DEFAULT now(),
    stopped_at timestamptz(3),
    CHECK (starts_at < ends_at)
);

INSERT INTO campaigns
    (id, name, amount_nano, starts_at, ends_at, max_redemptions, credit_expires_after, redemptions, created_at)
SELECT id, code, amount_nano, starts_at, ends_at, max_redemptions, credit_expires_after, redemptions, created_at
FROM promo_codes;

ALTER TABLE promo_codes ADD COLUMN campaign_id uuid REFERENCES campaigns;
UPDATE promo_codes SET campaign_id = id;
ALTER TABLE promo_codes
    ALTER COLUMN campaign_id SET NOT NULL,
    DROP COLUMN amount_nano,
    DROP COLUMN starts_at,
    DROP COLUMN ends_at,
    DROP COLUMN credit_expires_after;
CREATE INDEX promo_codes_of_campaign ON promo_codes (campaign_id, id);

ALTER TABLE promo_redemptions ADD COLUMN campaign_id uuid REFERENCES campaigns;
UPDATE promo_redemptions SET campaign_id = promo_code_id;
ALTER TABLE promo_redemptions ALTER COLUMN campaign_id SET NOT NULL;
CREATE INDEX promo_redemptions_of_campaign ON promo_redemptions (campaign_id, account_id);
