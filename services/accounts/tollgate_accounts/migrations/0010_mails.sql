-- Mails that wait to be sent. They carry no secret: a token is made when its mail is sent, and only its hash is kept.
CREATE TABLE mails (
    id uuid PRIMARY KEY,
    kind text NOT NULL,
    recipient text NOT NULL,
    details jsonb NOT NULL,
    tries integer NOT NULL DEFAULT 0,
    added_at timestamptz NOT NULL DEFAULT now(),
    next_try_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX mails_by_time ON mails (next_try_at);

-- What proves that a person reads the mails of their e-mail.
CREATE TABLE mail_tokens (
    token_hash text PRIMARY KEY,
    person_id uuid NOT NULL REFERENCES persons,
    purpose text NOT NULL CHECK (purpose IN ('verify_email', 'reset_password')),
    expires_at timestamptz NOT NULL
);
CREATE INDEX mail_tokens_of_person ON mail_tokens (person_id);

-- Redeemed when the e-mail is verified, where that is required: invented e-mails must not use up a code.
ALTER TABLE persons ADD COLUMN sign_up_promo_code text;

-- One row for each thing that is limited and each e-mail or address that tries it, whether such an account exists or
-- not. It takes the place of the one for sign-ins, whose counts nobody misses.
DROP TABLE sign_in_attempts;
CREATE TABLE attempts (
    action text NOT NULL,
    subject text NOT NULL,
    attempts integer NOT NULL,
    ends_at timestamptz NOT NULL,
    PRIMARY KEY (action, subject)
);
CREATE INDEX attempts_by_end ON attempts (ends_at);
