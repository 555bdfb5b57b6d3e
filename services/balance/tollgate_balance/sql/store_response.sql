-- Store the response of the request that has the claim. A repetition changes nothing. No row is returned if another
-- request has the claim now, and with it the charge.
UPDATE idempotency_claims SET answer = %(response)s
WHERE claim_id = %(claim_id)s AND token = %(token)s
RETURNING token
