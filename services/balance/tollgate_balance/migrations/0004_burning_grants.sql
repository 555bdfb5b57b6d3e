-- How credit burns and expires; docs/leases.md and docs/decisions tell the rules.

-- Paid credit that expired unused. Expired credit of another source goes back to where it came from.
ALTER TYPE ledger_account ADD VALUE 'breakage';

-- `remaining_nano` is what burning has left of a grant. It is not brought up to date by usage: what was taken from the
-- account since stands in `accounts.unburned_nano`, so that a batch of usage changes no grant. Once `expired_at` is
-- set, what remains is only there for holds that are not back yet; `expired_nano` is what expiry has posted so far.
-- A positive adjustment is credit, too, and burns as a grant that never expires.
ALTER TABLE grants
    ADD COLUMN remaining_nano bigint,
    ADD COLUMN expired_nano bigint NOT NULL DEFAULT 0,
    ADD COLUMN expired_at timestamptz,
    DROP CONSTRAINT grants_source_check,
    ADD CONSTRAINT grants_source_check CHECK (source IN ('promo', 'payment', 'manual', 'adjustment'));

INSERT INTO grants (grant_id, account_id, amount_nano, source, reason, priority, granted_at)
SELECT adjustment_id, account_id, amount_nano, 'adjustment', reason, 100, adjusted_at
FROM adjustments
WHERE amount_nano > 0;

UPDATE grants SET remaining_nano = amount_nano;

ALTER TABLE grants
    ALTER COLUMN remaining_nano SET NOT NULL,
    ADD CONSTRAINT burned_and_expired_make_the_rest CHECK (
        remaining_nano >= 0 AND expired_nano >= 0 AND remaining_nano + expired_nano <= amount_nano
    ),
    ADD CONSTRAINT only_the_expired_expires CHECK (expired_at IS NOT NULL OR expired_nano = 0);

-- Grants are read in the order of their ids; the open ones of an account all at once.
DROP INDEX grants_by_account;
CREATE INDEX grants_by_account ON grants (account_id, grant_id);
CREATE INDEX grants_open ON grants (account_id) WHERE remaining_nano > 0;
CREATE INDEX grants_to_expire ON grants (expires_at) WHERE expired_at IS NULL AND remaining_nano > 0;

-- `posted_nano` is always the sum of what remains of the account's grants, less `unburned_nano`. `expiring_nano` is what
-- remains of its expired grants; while there is some, usage burns at once, so that it is exact, and like with what is
-- due, nothing is available.
ALTER TABLE accounts
    ADD COLUMN unburned_nano bigint NOT NULL DEFAULT 0,
    ADD COLUMN expiring_nano bigint NOT NULL DEFAULT 0,
    DROP CONSTRAINT due_is_taken_first,
    ADD CONSTRAINT due_is_taken_first CHECK (
        due_nano >= 0 AND expiring_nano >= 0
        AND ((due_nano = 0 AND expiring_nano = 0) OR posted_nano = held_nano)
    ),
    ADD CONSTRAINT expiring_is_exact CHECK (unburned_nano >= 0 AND (expiring_nano = 0 OR unburned_nano = 0));

UPDATE accounts SET unburned_nano = credited.amount_nano - posted_nano
FROM (SELECT account_id, sum(amount_nano) AS amount_nano FROM grants GROUP BY account_id) AS credited
WHERE credited.account_id = accounts.account_id;

ALTER TABLE postings
    DROP CONSTRAINT postings_kind_check,
    ADD CONSTRAINT postings_kind_check CHECK (kind IN ('usage', 'write_off', 'grant', 'adjustment', 'expiry'))
        NOT VALID;
