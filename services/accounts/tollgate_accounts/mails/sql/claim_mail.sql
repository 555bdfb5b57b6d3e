-- Locks the mail while it is sent. Another mailer claims another mail.
SELECT id::text AS id, kind, recipient, details, tries, now() - added_at AS age
FROM mails WHERE next_try_at <= now() ORDER BY next_try_at LIMIT 1 FOR UPDATE SKIP LOCKED
