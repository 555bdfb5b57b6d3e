-- Claims of clients' idempotency keys. docs/decisions/0011-idempotent-answers.md tells why they are here.

-- `claim_id` is a hash of the account and the client's key; `token` names the request that holds the claim. `answer` is sealed by the
-- edge with a key that comes from the client's API key, which this service does not know; NULL while the request is under way.
CREATE TABLE idempotency_claims (
    claim_id text COLLATE "C" PRIMARY KEY,
    boot_id text COLLATE "C" NOT NULL REFERENCES boots,
    token text COLLATE "C" NOT NULL,
    fingerprint text COLLATE "C" NOT NULL,
    claimed_at timestamptz NOT NULL DEFAULT now(),
    answer bytea
);

CREATE INDEX idempotency_claims_by_age ON idempotency_claims (claimed_at);
