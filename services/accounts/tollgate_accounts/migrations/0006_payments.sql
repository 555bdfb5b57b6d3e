-- What was paid in, or given by an operator, and what it has become in the account's credit.
CREATE TABLE payments (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES organisations,
    method text NOT NULL,
    -- What the method calls it; an operator's own name for a manual credit.
    reference text,
    -- Stripe's PaymentIntent, by which refunds and disputes name their payment.
    payment_intent text UNIQUE,
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'paid', 'failed', 'expired')),
    amount_nano bigint NOT NULL CHECK (amount_nano > 0),
    currency text NOT NULL,
    reason text NOT NULL DEFAULT '',
    refunded_nano bigint NOT NULL DEFAULT 0 CHECK (refunded_nano >= 0),
    disputed_nano bigint NOT NULL DEFAULT 0 CHECK (disputed_nano >= 0),
    -- What has been posted for this payment in all: its grant, and the adjustments since.
    credited_nano bigint NOT NULL DEFAULT 0 CHECK (credited_nano BETWEEN 0 AND amount_nano),
    -- Whether its grant has left for the ledger.
    granted boolean NOT NULL DEFAULT false,
    created_at timestamptz(3) NOT NULL DEFAULT now(),
    paid_at timestamptz(3),
    UNIQUE (method, reference)
);
CREATE INDEX payments_of_account ON payments (account_id, id);

-- One row for each event that a payment provider has sent: a second one of its id has no effect.
CREATE TABLE payment_events (
    method text NOT NULL,
    event_id text NOT NULL,
    type text NOT NULL,
    received_at timestamptz(3) NOT NULL DEFAULT now(),
    PRIMARY KEY (method, event_id)
);

-- What reduces a payment: refunds and disputes, each as its latest event tells. They may come before the payment itself.
CREATE TABLE payment_reductions (
    id text PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('refund', 'dispute')),
    payment_intent text NOT NULL,
    amount_nano bigint NOT NULL CHECK (amount_nano >= 0),
    status text NOT NULL,
    -- Whether it takes the money now: not a refund that failed, nor a dispute that was won.
    takes boolean NOT NULL,
    -- How far its life has come, by which a late event is told from a newer one.
    rank integer NOT NULL,
    told_at timestamptz NOT NULL,
    told_by text NOT NULL
);
CREATE INDEX payment_reductions_of_intent ON payment_reductions (payment_intent);

-- Every adjustment that left for the ledger: by an operator, or because a payment became less or more.
CREATE TABLE credit_adjustments (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES organisations,
    payment_id uuid REFERENCES payments,
    amount_nano bigint NOT NULL CHECK (amount_nano <> 0),
    reason text NOT NULL,
    created_at timestamptz(3) NOT NULL DEFAULT now()
);
CREATE INDEX credit_adjustments_of_account ON credit_adjustments (account_id, id);
