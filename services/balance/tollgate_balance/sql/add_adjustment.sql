-- Insert an adjustment. No row is returned if its id exists.
INSERT INTO adjustments (adjustment_id, account_id, amount_nano, due_nano, reason, adjusted_at)
VALUES (%(adjustment_id)s, %(account_id)s, %(amount_nano)s, %(due_nano)s, %(reason)s, %(at)s)
ON CONFLICT (adjustment_id) DO NOTHING
RETURNING adjustment_id
