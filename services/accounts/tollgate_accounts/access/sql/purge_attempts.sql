-- Each attempt deletes up to 100 expired rows, more than it adds, so the table stays bounded.
DELETE FROM attempts WHERE (action, subject) IN (
    SELECT action, subject FROM attempts WHERE ends_at <= now() ORDER BY ends_at LIMIT 100 FOR UPDATE SKIP LOCKED
)
