-- What the method calls it, once the method has been asked.
UPDATE payments SET reference = %(reference)s WHERE id = %(id)s
