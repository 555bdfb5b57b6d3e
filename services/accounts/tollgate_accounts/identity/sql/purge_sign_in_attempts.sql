-- Each attempt removes a few whose time is over: more than come in, so the table does not grow for ever.
DELETE FROM sign_in_attempts WHERE (email_folded, address) IN (
    SELECT email_folded, address FROM sign_in_attempts WHERE first_at <= now() - %(window)s
    ORDER BY first_at LIMIT 100 FOR UPDATE SKIP LOCKED
)
