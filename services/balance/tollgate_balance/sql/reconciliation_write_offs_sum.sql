-- Sum all write-offs, listed or not.
SELECT count(*) AS count, coalesce(sum(amount_nano), 0) AS amount_nano FROM postings
WHERE kind = 'write_off' AND posted_at >= %(start)s AND posted_at < %(end)s
