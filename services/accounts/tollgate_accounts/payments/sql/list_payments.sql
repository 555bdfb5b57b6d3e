-- Returns a page of an account's payments, newest first. The next page starts after this page's last id.
SELECT id::text AS id, account_id::text AS account_id, method, reference, state, amount_nano, currency, reason,
    refunded_nano, disputed_nano, credited_nano, granted, created_at, paid_at
FROM payments
WHERE account_id = %(account_id)s AND (%(after)s::uuid IS NULL OR id < %(after)s::uuid)
ORDER BY id DESC
LIMIT %(limit)s
