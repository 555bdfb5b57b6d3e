-- Names are for people; nothing refers to them.
UPDATE organisations SET name = %(name)s WHERE id = %(id)s
