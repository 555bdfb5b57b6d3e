-- Keep the answer of the request that still holds its claim; the same again changes nothing. No row back means that the claim is another's
-- now, and so is the charge.
UPDATE idempotency_claims SET answer = %(response)s
WHERE claim_id = %(claim_id)s AND token = %(token)s
RETURNING token
