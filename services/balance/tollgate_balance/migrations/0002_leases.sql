-- Credit leases. docs/leases.md tells the protocol.

-- Edge processes. Only a renewal and the fence change `renewed_at` and `fenced_at`, each by one conditional statement. A
-- grant holds a key-share lock on the row while it is under way: renewals pass it, the fence waits for it.
-- `usage_ends` are the ends of all partitions of usage.v1, by partition, read after the fence.
CREATE TABLE boots (
    boot_id text COLLATE "C" PRIMARY KEY,
    edge text NOT NULL,
    renewed_at timestamptz NOT NULL DEFAULT now(),
    fenced_at timestamptz,
    usage_ends bigint[],
    released_at timestamptz,
    CHECK (usage_ends IS NULL OR fenced_at IS NOT NULL),
    CHECK (released_at IS NULL OR usage_ends IS NOT NULL)
) WITH (fillfactor = 50);

CREATE INDEX boots_alive ON boots (boot_id) WHERE fenced_at IS NULL;
CREATE INDEX boots_to_release ON boots (boot_id) WHERE fenced_at IS NOT NULL AND released_at IS NULL;

-- A lease changes only under the lock of its account's row, so that the account's `held_nano` is always the sum of
-- greatest(0, authorised_nano - settled_nano) over its leases that are not released.
CREATE TABLE leases (
    lease_id text COLLATE "C" PRIMARY KEY,
    account_id text COLLATE "C" NOT NULL REFERENCES accounts,
    boot_id text COLLATE "C" NOT NULL REFERENCES boots,
    state text NOT NULL CHECK (state IN ('open', 'closed', 'released')),
    authorised_nano bigint NOT NULL CHECK (authorised_nano >= 0),
    settled_nano bigint NOT NULL CHECK (settled_nano >= 0),
    rev bigint NOT NULL CHECK (rev >= 1),
    granted_at timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70);

CREATE INDEX leases_of_boot ON leases (boot_id, state, account_id);

-- Accounts that lately had to refuse a grant because other leases hold their credit; renewals ask those to shrink.
CREATE TABLE shortages (
    account_id text COLLATE "C" PRIMARY KEY REFERENCES accounts,
    until timestamptz NOT NULL
);
