-- Projects group the keys of an organisation and may bound what these spend together.
CREATE TABLE projects (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES organisations,
    name text NOT NULL,
    -- [{"period": "day", "amount_nano": 1}, …], at most one of each period.
    budgets jsonb NOT NULL,
    created_at timestamptz(3) NOT NULL DEFAULT now(),
    archived_at timestamptz(3),
    UNIQUE (account_id, id)
);

ALTER TABLE organisations ADD COLUMN IF NOT EXISTS suspended_at timestamptz(3);

ALTER TABLE api_keys
    ADD COLUMN project_id uuid,
    ADD COLUMN allowed_ips text[],
    ADD COLUMN limits jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN budgets jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN usage_scope text NOT NULL DEFAULT 'account',
    ADD COLUMN last_used_at timestamptz(3),
    ADD COLUMN replaces uuid REFERENCES api_keys,
    -- The first of the keys that replaced each other: its id names the budget, so that a rotation does not refill it.
    ADD COLUMN first_id uuid REFERENCES api_keys,
    -- A key is never in another organisation's project.
    ADD FOREIGN KEY (account_id, project_id) REFERENCES projects (account_id, id);
UPDATE api_keys SET first_id = id;
ALTER TABLE api_keys ALTER COLUMN first_id SET NOT NULL;
CREATE INDEX api_keys_of_project ON api_keys (project_id) WHERE revoked_at IS NULL;

CREATE TABLE invitations (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES organisations,
    email text NOT NULL,
    email_folded text NOT NULL,
    role text NOT NULL CHECK (role IN ('owner', 'admin', 'billing', 'developer', 'viewer')),
    invited_by uuid NOT NULL REFERENCES persons,
    -- Null until its mail is sent, for the token is made then.
    token_hash text UNIQUE,
    created_at timestamptz(3) NOT NULL DEFAULT now(),
    expires_at timestamptz(3) NOT NULL,
    UNIQUE (account_id, email_folded)
);
