-- What refunds and disputes take from a payment now.
SELECT coalesce(sum(reductions.amount_nano) FILTER (WHERE kind = 'refund'), 0)::bigint AS refunded_nano,
    coalesce(sum(reductions.amount_nano) FILTER (WHERE kind = 'dispute'), 0)::bigint AS disputed_nano
FROM payments JOIN payment_reductions AS reductions USING (payment_intent)
WHERE payments.id = %(id)s AND takes
