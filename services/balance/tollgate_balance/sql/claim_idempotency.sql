-- Claim a client's idempotency key: if it is new or older than a day, if this is the same call again, or if the edge that holds it was
-- fenced before it had kept an answer. Such an edge charges nothing any more, for it keeps the answer before it charges.
-- No row back means that another request has it.
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
