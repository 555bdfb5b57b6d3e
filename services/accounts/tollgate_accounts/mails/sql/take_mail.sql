-- Locked while it is sent; another courier takes another.
SELECT id::text AS id, kind, recipient, details, tries, now() - added_at AS age
FROM mails WHERE next_try_at <= now() ORDER BY next_try_at LIMIT 1 FOR UPDATE SKIP LOCKED
