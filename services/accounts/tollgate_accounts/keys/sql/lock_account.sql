-- Precedes a change that affects many keys: creating or changing one of them waits.
SELECT suspended_at IS NOT NULL AS is_suspended FROM organisations WHERE id = %(id)s FOR NO KEY UPDATE
