-- Returns no row if the method already has a payment with this reference, which the caller then finds.
INSERT INTO payments (id, account_id, method, reference, amount_nano, currency, reason)
VALUES (%(id)s, %(account_id)s, %(method)s, %(reference)s, %(amount_nano)s, %(currency)s, %(reason)s)
ON CONFLICT (method, reference) DO NOTHING
RETURNING id
