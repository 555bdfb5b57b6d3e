-- Null while the event that names the payment's intent has not come.
SELECT id::text AS id FROM payments WHERE payment_intent = %(payment_intent)s
