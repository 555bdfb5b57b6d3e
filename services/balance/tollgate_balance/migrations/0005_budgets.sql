-- Budgets. docs/leases.md tells the protocol.

-- What a budget allots to one of its periods, and what of it is spent and held: the usage that has been settled on the
-- leases that were granted under it, and their holds. Like a lease it changes only under the lock of its account's row.
-- `amount_nano` is what the newest grant said. What is spent and held may exceed it: by usage beyond reservations, and
-- when the budget is lowered.
CREATE TABLE allotments (
    allotment_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id text COLLATE "C" NOT NULL REFERENCES accounts,
    budget_id text COLLATE "C" NOT NULL,
    period text NOT NULL CHECK (period IN ('day', 'month', 'total')),
    begins_at timestamptz NOT NULL,
    ends_at timestamptz,
    amount_nano bigint NOT NULL CHECK (amount_nano >= 0),
    spent_nano bigint NOT NULL DEFAULT 0 CHECK (spent_nano >= 0),
    held_nano bigint NOT NULL DEFAULT 0 CHECK (held_nano >= 0),
    -- Renewals ask the leases under it to shrink until then.
    short_until timestamptz,
    UNIQUE (account_id, budget_id, period, begins_at),
    CHECK ((ends_at IS NULL) = (period = 'total'))
) WITH (fillfactor = 70);

CREATE INDEX allotments_short ON allotments (short_until) WHERE short_until IS NOT NULL;

-- Those that a lease was granted under: the periods of that moment, for all of its life.
ALTER TABLE leases ADD COLUMN allotment_ids bigint[] NOT NULL DEFAULT '{}';
