-- For a change that many keys carry: whoever makes or changes one of them waits.
SELECT suspended_at IS NOT NULL AS is_suspended FROM organisations WHERE id = %(id)s FOR NO KEY UPDATE
