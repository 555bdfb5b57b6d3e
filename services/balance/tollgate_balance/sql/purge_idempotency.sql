-- Answers are kept for a day. A few at a time, so that nobody waits for it.
DELETE FROM idempotency_claims
WHERE claim_id IN (SELECT claim_id FROM idempotency_claims WHERE claimed_at < now() - %(lasting)s LIMIT 1000)
