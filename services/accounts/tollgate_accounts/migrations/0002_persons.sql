-- Whoever signs in is a person; what is billed is an organisation, whose members persons are. An organisation's id is
-- the `account_id` of every event, and an account that was there before becomes one.
CREATE TABLE persons (
    id uuid PRIMARY KEY,
    email text NOT NULL,
    -- What makes an e-mail unique, folded by the application: lower() differs between the databases' locales.
    email_folded text NOT NULL UNIQUE,
    password_hash text NOT NULL,
    email_verified_at timestamptz(3),
    created_at timestamptz(3) NOT NULL DEFAULT now()
);

-- Each account had one person: the ids are of different tables, so the person's may be the account's.
INSERT INTO persons (id, email, email_folded, password_hash, created_at)
SELECT id, email, email_folded, password_hash, created_at FROM accounts;

ALTER TABLE accounts RENAME TO organisations;
ALTER TABLE organisations ADD COLUMN name text;
UPDATE organisations SET name = email;
ALTER TABLE organisations
    ALTER COLUMN name SET NOT NULL,
    DROP COLUMN email,
    DROP COLUMN email_folded,
    DROP COLUMN password_hash;

CREATE TABLE memberships (
    account_id uuid NOT NULL REFERENCES organisations,
    person_id uuid NOT NULL REFERENCES persons,
    role text NOT NULL CHECK (role IN ('owner', 'admin', 'billing', 'developer', 'viewer')),
    created_at timestamptz(3) NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, person_id)
);
CREATE INDEX memberships_of_person ON memberships (person_id);
INSERT INTO memberships (account_id, person_id, role, created_at)
SELECT id, id, 'owner', created_at FROM organisations;

-- Whoever is signed in signs in again: the old sessions tell neither where they came from nor who they are.
DROP TABLE sessions;
CREATE TABLE sessions (
    id uuid PRIMARY KEY,
    token_hash text NOT NULL UNIQUE,
    person_id uuid NOT NULL REFERENCES persons,
    -- The organisation that the person works in; null once they have left it.
    account_id uuid REFERENCES organisations,
    user_agent text NOT NULL,
    address text NOT NULL,
    created_at timestamptz(3) NOT NULL DEFAULT now(),
    last_seen_at timestamptz(3) NOT NULL DEFAULT now(),
    expires_at timestamptz(3) NOT NULL
);
CREATE INDEX sessions_of_person ON sessions (person_id);

CREATE TABLE audit_log (
    id uuid PRIMARY KEY,
    at timestamptz(3) NOT NULL DEFAULT now(),
    -- Whose affairs were changed; null where it is no organisation's, as a person's own password.
    account_id uuid REFERENCES organisations,
    actor_kind text NOT NULL CHECK (actor_kind IN ('person', 'operator', 'service', 'anonymous')),
    -- A person's id, an operator's or a service's name; empty where nobody is known.
    actor_id text NOT NULL,
    address text NOT NULL,
    action text NOT NULL,
    target_kind text NOT NULL,
    target_id text NOT NULL,
    details jsonb NOT NULL
);
CREATE INDEX audit_log_of_account ON audit_log (account_id, id);
CREATE INDEX audit_log_of_target ON audit_log (target_kind, target_id, id);

CREATE FUNCTION refuse_change_of_audit_log() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only';
END $$;
CREATE TRIGGER audit_log_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_audit_log();
