-- The request was refused and charged nothing: the client's next try is a first one.
DELETE FROM idempotency_claims WHERE claim_id = %(claim_id)s AND token = %(token)s AND answer IS NULL
