CREATE TABLE accounts (
    id uuid PRIMARY KEY,
    email text NOT NULL,
    -- What makes an e-mail unique, folded by the application: lower() differs between the databases' locales.
    email_folded text NOT NULL UNIQUE,
    password_hash text NOT NULL,
    -- Counts the messages about this account's credit. Raising it locks the row, which puts them in order.
    credit_version bigint NOT NULL DEFAULT 0,
    created_at timestamptz(3) NOT NULL DEFAULT now()
);

CREATE TABLE sessions (
    token_hash text PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES accounts,
    created_at timestamptz(3) NOT NULL DEFAULT now(),
    expires_at timestamptz(3) NOT NULL
);
CREATE INDEX sessions_of_account ON sessions (account_id);

-- One row for each e-mail and address that is trying to sign in: it counts whether such an account exists or not.
CREATE TABLE sign_in_attempts (
    email_folded text NOT NULL,
    address text NOT NULL,
    attempts integer NOT NULL,
    first_at timestamptz NOT NULL,
    PRIMARY KEY (email_folded, address)
);
CREATE INDEX sign_in_attempts_by_age ON sign_in_attempts (first_at);

CREATE TABLE api_keys (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES accounts,
    name text NOT NULL,
    key_hash text NOT NULL UNIQUE,
    hint text NOT NULL,
    models text[],
    expires_at timestamptz(3),
    created_at timestamptz(3) NOT NULL DEFAULT now(),
    revoked_at timestamptz(3),
    -- The version of the key's newest message; raised by each change of the row.
    version bigint NOT NULL DEFAULT 1
);
-- Ids are made in the order of time, so this serves the list, newest first.
CREATE INDEX api_keys_of_account ON api_keys (account_id, id);

CREATE TABLE promo_codes (
    id uuid PRIMARY KEY,
    -- Folded to capitals, so that it is found however it is typed.
    code text NOT NULL UNIQUE CHECK (code = upper(code)),
    amount_nano bigint NOT NULL CHECK (amount_nano > 0),
    starts_at timestamptz(3),
    ends_at timestamptz(3),
    max_redemptions bigint CHECK (max_redemptions > 0),
    credit_expires_after interval CHECK (credit_expires_after > interval '0'),
    redemptions bigint NOT NULL DEFAULT 0 CHECK (redemptions <= max_redemptions),
    created_at timestamptz(3) NOT NULL DEFAULT now(),
    CHECK (starts_at < ends_at)
);

CREATE TABLE promo_redemptions (
    grant_id uuid PRIMARY KEY,
    promo_code_id uuid NOT NULL REFERENCES promo_codes,
    account_id uuid NOT NULL REFERENCES accounts,
    amount_nano bigint NOT NULL,
    expires_at timestamptz(3),
    redeemed_at timestamptz(3) NOT NULL DEFAULT now(),
    UNIQUE (promo_code_id, account_id)
);
CREATE INDEX promo_redemptions_of_account ON promo_redemptions (account_id);
