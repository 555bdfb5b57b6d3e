-- Read the postings of a few offsets, to name the requests that make two digests differ.
SELECT event_offset AS "offset", reference AS request_id, account_id, amount_nano FROM postings
WHERE event_partition = %(partition)s AND event_offset >= %(start)s AND event_offset < %(end)s
ORDER BY event_offset, posting_id
LIMIT %(limit)s
