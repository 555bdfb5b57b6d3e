-- Delete the claim of a request that was rejected and charged nothing, so that the client's next attempt is a first
-- one.
DELETE FROM idempotency_claims WHERE claim_id = %(claim_id)s AND token = %(token)s AND answer IS NULL
