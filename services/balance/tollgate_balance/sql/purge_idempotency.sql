-- Delete claims older than a day, 1000 at a time, so that no transaction waits for long.
DELETE FROM idempotency_claims
WHERE claim_id IN (SELECT claim_id FROM idempotency_claims WHERE claimed_at < now() - %(lasting)s LIMIT 1000)
