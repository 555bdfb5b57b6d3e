-- Returns no row if the campaign is already stopped, or does not exist.
UPDATE campaigns SET stopped_at = now() WHERE id = %(id)s AND stopped_at IS NULL RETURNING id
