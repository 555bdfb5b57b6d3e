-- Returns no row if the organization is not suspended.
UPDATE organisations SET suspended_at = NULL WHERE id = %(id)s AND suspended_at IS NOT NULL RETURNING id
