-- Read a page of an account's postings of one kind other than usage, newest first, by the index without usage. The
-- planner uses that index only if it knows the value of the kind.
SELECT posting_id, posted_at, kind, debit::text AS debit, credit::text AS credit, amount_nano, reference, happened_at
FROM postings
WHERE account_id = %(account_id)s AND posted_at >= %(start)s AND (posted_at, posting_id) < (%(before_at)s, %(before_id)s)
    AND kind = %(kind)s
ORDER BY posted_at DESC, posting_id DESC
LIMIT %(limit)s
