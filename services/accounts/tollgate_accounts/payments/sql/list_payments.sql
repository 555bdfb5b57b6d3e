-- A page of an account's payments, newest first; the next page begins after the last id of this one.
SELECT id::text AS id, account_id::text AS account_id, method, reference, state, amount_nano, currency, reason,
    refunded_nano, disputed_nano, credited_nano, granted, created_at, paid_at
FROM payments
WHERE account_id = %(account_id)s AND (%(after)s::uuid IS NULL OR id < %(after)s::uuid)
ORDER BY id DESC
LIMIT %(limit)s
