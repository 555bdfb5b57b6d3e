-- By this name refunds and disputes find the payment.
UPDATE payments SET payment_intent = %(payment_intent)s WHERE id = %(id)s
