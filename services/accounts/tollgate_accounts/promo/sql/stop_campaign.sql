-- No row comes back when it was stopped before, or is none.
UPDATE campaigns SET stopped_at = now() WHERE id = %(id)s AND stopped_at IS NULL RETURNING id
