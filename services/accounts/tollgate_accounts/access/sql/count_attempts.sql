-- Attempts are counted before they are processed, in one statement, so that concurrent guesses count too. The fixed
-- order prevents deadlocks between two callers that count the same rows.
INSERT INTO attempts AS counted (action, subject, attempts, ends_at)
SELECT action, subject, 1, now() + window_length
FROM unnest(%(actions)s::text[], %(subjects)s::text[], %(windows)s::interval[]) AS tried (action, subject, window_length)
ORDER BY action, subject
ON CONFLICT (action, subject) DO UPDATE SET
    attempts = CASE WHEN counted.ends_at <= now() THEN 1 ELSE counted.attempts + 1 END,
    ends_at = CASE WHEN counted.ends_at <= now() THEN excluded.ends_at ELSE counted.ends_at END
RETURNING action, attempts, ends_at - now() AS ends_in
