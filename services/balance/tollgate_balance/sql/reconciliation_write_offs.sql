-- Read usage that neither a hold nor available credit covered, newest first. `reference` is the range of usage.v1 of
-- its batch.
SELECT account_id, amount_nano, reference, posted_at FROM postings
WHERE kind = 'write_off' AND posted_at >= %(start)s AND posted_at < %(end)s
ORDER BY posted_at DESC
LIMIT %(limit)s
