-- A page of an account's ledger, newest first, by the primary key.
SELECT posting_id, kind, debit::text AS debit, credit::text AS credit, amount_nano, reference, happened_at FROM postings
WHERE account_id = %(account_id)s AND posting_id < %(before)s
ORDER BY posting_id DESC
LIMIT %(limit)s
