-- It is neither suspended nor resumed until the key's record has been written.
SELECT suspended_at IS NOT NULL AS is_suspended FROM organisations WHERE id = %(id)s FOR SHARE
