-- Keeps the organization from being suspended or resumed until the key's record is written.
SELECT suspended_at IS NOT NULL AS is_suspended FROM organisations WHERE id = %(id)s FOR SHARE
