-- Returns no row if the organization is already suspended. The row's lock waits for keys being created and blocks new
-- ones.
UPDATE organisations SET suspended_at = now() WHERE id = %(id)s AND suspended_at IS NULL RETURNING id
