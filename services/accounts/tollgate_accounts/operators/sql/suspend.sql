-- No row comes back when it is suspended already. The row's lock waits for keys that are being made, and holds back new ones.
UPDATE organisations SET suspended_at = now() WHERE id = %(id)s AND suspended_at IS NULL RETURNING id
