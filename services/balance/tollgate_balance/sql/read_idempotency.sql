-- What the request that holds a claim asked for, and its answer if it has one by now.
SELECT fingerprint, answer FROM idempotency_claims WHERE claim_id = %(claim_id)s
