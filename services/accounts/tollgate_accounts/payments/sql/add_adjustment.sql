-- Accompanies the event to the ledger, which has the same id.
INSERT INTO credit_adjustments (id, account_id, payment_id, amount_nano, reason)
VALUES (%(id)s, %(account_id)s, %(payment_id)s, %(amount_nano)s, %(reason)s)
RETURNING created_at
