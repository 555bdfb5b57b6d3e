-- Records the payment method's own name for the payment, once it is known.
UPDATE payments SET reference = %(reference)s WHERE id = %(id)s
