-- No row comes back when the method has a payment of this reference: the caller finds that one.
INSERT INTO payments (id, account_id, method, reference, amount_nano, currency, reason)
VALUES (%(id)s, %(account_id)s, %(method)s, %(reference)s, %(amount_nano)s, %(currency)s, %(reason)s)
ON CONFLICT (method, reference) DO NOTHING
RETURNING id
