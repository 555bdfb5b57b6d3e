-- The kind leads: without it, a page of one kind read and sorted all that an account has beside usage.
DROP INDEX postings_beside_usage;
CREATE INDEX postings_beside_usage ON postings (account_id, kind, posted_at, posting_id) WHERE kind <> 'usage';
