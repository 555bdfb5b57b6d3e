-- A page of an account's ledger is read newest first, of any time and kind. The key carries the time, so that one index
-- serves both; `posting_id` decides within a transaction. Usage is nearly all of a ledger, so it is found by the key, too;
-- the few postings of other kinds have an index of their own, which usage does not pay for.
ALTER TABLE postings
    DROP CONSTRAINT postings_pkey,
    ADD PRIMARY KEY (account_id, posted_at, posting_id);

CREATE INDEX postings_beside_usage ON postings (account_id, posted_at, posting_id) WHERE kind <> 'usage';
