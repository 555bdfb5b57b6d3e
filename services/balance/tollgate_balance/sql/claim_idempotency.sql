-- Claim a client's idempotency key. The claim succeeds if the key is new or older than a day, if the same call repeats,
-- or if the edge that has the claim was fenced before it stored a response. Such an edge charges nothing any more,
-- because an edge stores the response before it charges. No row is returned if another request has the claim.
INSERT INTO idempotency_claims (claim_id, boot_id, token, fingerprint)
VALUES (%(claim_id)s, %(boot_id)s, %(token)s, %(fingerprint)s)
ON CONFLICT (claim_id) DO UPDATE
SET boot_id = excluded.boot_id, token = excluded.token, fingerprint = excluded.fingerprint, claimed_at = now(), answer = NULL
WHERE idempotency_claims.claimed_at < now() - %(lasting)s
    OR (
        idempotency_claims.answer IS NULL
        AND idempotency_claims.fingerprint = excluded.fingerprint
        AND (
            idempotency_claims.token = excluded.token
            OR EXISTS (
                SELECT FROM boots WHERE boots.boot_id = idempotency_claims.boot_id AND boots.fenced_at IS NOT NULL
            )
        )
    )
RETURNING token
