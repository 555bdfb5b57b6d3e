-- Read a page of messages with dead letters, newest first: all of them, or those in one state.
SELECT * FROM dead_letter_sources
WHERE (%(state)s::text IS NULL OR state = %(state)s) AND (first_sent_at, source) < (%(before)s, %(before_source)s)
ORDER BY first_sent_at DESC, source DESC
LIMIT %(limit)s
