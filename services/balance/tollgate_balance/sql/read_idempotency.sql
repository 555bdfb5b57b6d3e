-- Read the fingerprint of the request that has a claim, and its response if it is stored.
SELECT fingerprint, answer FROM idempotency_claims WHERE claim_id = %(claim_id)s
