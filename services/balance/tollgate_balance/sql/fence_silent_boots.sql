-- The only statement that fences boots, by PostgreSQL's clock. FOR UPDATE, because a grant's key-share lock would let a
-- plain UPDATE pass. After it waits for a grant or a renewal, PostgreSQL evaluates the condition again.
WITH silent AS (
    SELECT boot_id FROM boots
    WHERE fenced_at IS NULL AND renewed_at < now() - %(lease)s
    ORDER BY boot_id
    FOR UPDATE
)
UPDATE boots SET fenced_at = now() FROM silent WHERE boots.boot_id = silent.boot_id
RETURNING boots.boot_id, boots.edge
