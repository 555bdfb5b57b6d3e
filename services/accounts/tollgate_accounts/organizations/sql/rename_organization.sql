-- The name is for people; nothing refers to it.
UPDATE organisations SET name = %(name)s WHERE id = %(id)s
