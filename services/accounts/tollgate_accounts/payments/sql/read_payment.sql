-- Reads one payment.
SELECT id::text AS id, account_id::text AS account_id, method, reference, state, amount_nano, currency, reason,
    refunded_nano, disputed_nano, credited_nano, granted, created_at, paid_at
FROM payments WHERE id = %(id)s
