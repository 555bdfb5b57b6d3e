-- The one statement that declares a boot dead, by PostgreSQL's clock. FOR UPDATE, because a grant's key-share lock lets a
-- mere UPDATE pass; after waiting for one, or for a renewal, the condition is looked at again.
WITH silent AS (
    SELECT boot_id FROM boots
    WHERE fenced_at IS NULL AND renewed_at < now() - %(lease)s
    ORDER BY boot_id
    FOR UPDATE
)
UPDATE boots SET fenced_at = now() FROM silent WHERE boots.boot_id = silent.boot_id
RETURNING boots.boot_id, boots.edge
