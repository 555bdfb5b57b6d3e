-- One organization, for a caller who is known to be its member.
SELECT id::text AS id, name, created_at FROM organisations WHERE id = %(id)s
