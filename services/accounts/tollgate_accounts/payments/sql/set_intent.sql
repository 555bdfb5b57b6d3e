-- Refunds and disputes refer to the payment by its intent.
UPDATE payments SET payment_intent = %(payment_intent)s WHERE id = %(id)s
