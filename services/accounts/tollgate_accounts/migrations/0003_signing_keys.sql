-- The keys that sign access tokens. A key is published as soon as it is here, and signs from `signs_from` until its
-- successor does.
CREATE TABLE signing_keys (
    kid text PRIMARY KEY,
    public_key bytea NOT NULL,
    -- Encrypted with TOLLGATE_SIGNING_SECRET: who reads the database cannot sign.
    sealed_private_key bytea NOT NULL,
    signs_from timestamptz(3) NOT NULL,
    created_at timestamptz(3) NOT NULL DEFAULT now()
);
