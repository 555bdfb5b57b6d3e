-- Returns no row until the event arrives that names the payment's intent.
SELECT id::text AS id FROM payments WHERE payment_intent = %(payment_intent)s
