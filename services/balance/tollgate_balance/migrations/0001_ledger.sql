-- The ledger, and where its consumers stand. Money is nano-units of the deployment's currency in BIGINT.

-- Seen from the deployment's books: customer credit is what it owes its customers.
CREATE TYPE ledger_account AS ENUM (
    'customer_credit', 'revenue', 'promo_expense', 'payments', 'adjustments', 'write_off'
);

-- What an account has, in one row, so that a conditional change of it can be decided by a lock on that row alone. It
-- always equals the sum of the account's postings and of its leases' holds. `due_nano` is what adjustments could not
-- take yet: while some is due, nothing is available, for whatever becomes available is taken first.
-- Ids compare as bytes, as they do in the services: rows are locked in the order of their ids.
CREATE TABLE accounts (
    account_id text COLLATE "C" PRIMARY KEY,
    posted_nano bigint NOT NULL DEFAULT 0,
    held_nano bigint NOT NULL DEFAULT 0,
    due_nano bigint NOT NULL DEFAULT 0,
    version bigint NOT NULL DEFAULT 0,
    opened_at timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT never_overspent CHECK (held_nano >= 0 AND posted_nano >= held_nano),
    CONSTRAINT due_is_taken_first CHECK (due_nano >= 0 AND (due_nano = 0 OR posted_nano = held_nano))
) WITH (fillfactor = 70);

-- One row is one posting with both its legs. What is debited is what is credited, so every posting sums to zero by
-- construction: no trigger has to prove it, and a posting costs one row instead of two and a check. Each posting has
-- exactly one leg in customer credit, that of `account_id`.
-- `reference` names the cause: the request, the grant, the adjustment, or the batch of usage that was written off.
-- The key begins with the account, because that is how the ledger is read; the number alone is unique, too.
CREATE TABLE postings (
    posting_id bigint GENERATED ALWAYS AS IDENTITY,
    account_id text COLLATE "C" NOT NULL,
    kind text NOT NULL CHECK (kind IN ('usage', 'write_off', 'grant', 'adjustment')),
    debit ledger_account NOT NULL,
    credit ledger_account NOT NULL,
    amount_nano bigint NOT NULL CHECK (amount_nano > 0),
    reference text NOT NULL,
    happened_at timestamptz NOT NULL,
    posted_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, posting_id),
    CONSTRAINT one_customer_leg CHECK ((debit = 'customer_credit') <> (credit = 'customer_credit'))
);

-- The ledger is append-only, also for its owner; a deployment's role for the service needs no more than INSERT and
-- SELECT on this table.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is append-only: correct a posting by another one';
END $$;

CREATE TRIGGER postings_are_final BEFORE UPDATE OR DELETE OR TRUNCATE ON postings
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- A grant counts once, by its id. Priority, expiry and age tell the order in which grants burn.
CREATE TABLE grants (
    grant_id text COLLATE "C" PRIMARY KEY,
    account_id text COLLATE "C" NOT NULL REFERENCES accounts,
    amount_nano bigint NOT NULL CHECK (amount_nano > 0),
    source text NOT NULL CHECK (source IN ('promo', 'payment', 'manual')),
    reason text NOT NULL,
    priority integer NOT NULL,
    granted_at timestamptz NOT NULL,
    expires_at timestamptz
);

CREATE INDEX grants_by_account ON grants (account_id);

-- An adjustment counts once, by its id. A reduction takes what is available; `due_nano` is the rest of it.
CREATE TABLE adjustments (
    adjustment_id text COLLATE "C" PRIMARY KEY,
    account_id text COLLATE "C" NOT NULL REFERENCES accounts,
    amount_nano bigint NOT NULL CHECK (amount_nano <> 0),
    due_nano bigint NOT NULL CHECK (due_nano >= 0 AND due_nano <= -least(amount_nano, 0)),
    reason text NOT NULL,
    adjusted_at timestamptz NOT NULL
);

CREATE INDEX adjustments_due ON adjustments (account_id) WHERE due_nano > 0;

-- Where to resume a partition. `epoch` grows with each consumer that takes the partition over: an older one's batch,
-- whatever it believes, changes no row here and rolls back.
CREATE TABLE consumer_offsets (
    topic text NOT NULL,
    partition integer NOT NULL,
    next bigint NOT NULL CHECK (next >= 0),
    epoch bigint NOT NULL,
    PRIMARY KEY (topic, partition)
) WITH (fillfactor = 50);

-- What has been seen of each edge process: every seq below `high` except those in `gaps`. Rows stay when the events
-- are long gone, as the proof of what was complete.
CREATE TABLE sequences (
    topic text NOT NULL,
    partition integer NOT NULL,
    boot_id text COLLATE "C" NOT NULL,
    high bigint NOT NULL CHECK (high >= 0),
    gaps int8multirange NOT NULL,
    PRIMARY KEY (topic, partition, boot_id)
) WITH (fillfactor = 70);
