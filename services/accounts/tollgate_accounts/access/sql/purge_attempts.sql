-- Each attempt removes a few whose time is over: more than come in, so the table does not grow for ever.
DELETE FROM attempts WHERE (action, subject) IN (
    SELECT action, subject FROM attempts WHERE ends_at <= now() ORDER BY ends_at LIMIT 100 FOR UPDATE SKIP LOCKED
)
