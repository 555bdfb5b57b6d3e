-- Returns no row if the name exists; the caller then compares or rejects.
INSERT INTO campaigns
    (id, name, amount_nano, starts_at, ends_at, max_redemptions, max_per_account, audience, credit_expires_after)
VALUES (
    %(id)s, %(name)s, %(amount_nano)s, %(starts_at)s, %(ends_at)s, %(max_redemptions)s, %(max_per_account)s,
    %(audience)s, %(credit_expires_after)s
)
ON CONFLICT (name) DO NOTHING
RETURNING id
