-- Counted before the password is looked at, and in one statement, so that guesses sent all at once count too.
INSERT INTO sign_in_attempts AS counted (email_folded, address, attempts, first_at)
VALUES (%(email_folded)s, %(address)s, 1, now())
ON CONFLICT (email_folded, address) DO UPDATE SET
    attempts = CASE WHEN counted.first_at <= now() - %(window)s THEN 1 ELSE counted.attempts + 1 END,
    first_at = CASE WHEN counted.first_at <= now() - %(window)s THEN now() ELSE counted.first_at END
RETURNING attempts, first_at + %(window)s - now() AS ends_in
