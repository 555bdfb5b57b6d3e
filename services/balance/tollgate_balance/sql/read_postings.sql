-- Read a page of an account's ledger, newest first, by the primary key. Also used for usage alone, which is nearly all
-- rows.
SELECT posting_id, posted_at, kind, debit::text AS debit, credit::text AS credit, amount_nano, reference, happened_at
FROM postings
WHERE account_id = %(account_id)s AND posted_at >= %(start)s AND (posted_at, posting_id) < (%(before_at)s, %(before_id)s)
    AND (%(kind)s::text IS NULL OR kind = %(kind)s)
ORDER BY posted_at DESC, posting_id DESC
LIMIT %(limit)s
