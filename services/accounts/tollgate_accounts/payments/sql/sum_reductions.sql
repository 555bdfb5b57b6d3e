-- Sums the amounts that refunds and disputes currently take from a payment.
SELECT coalesce(sum(reductions.amount_nano) FILTER (WHERE kind = 'refund'), 0)::bigint AS refunded_nano,
    coalesce(sum(reductions.amount_nano) FILTER (WHERE kind = 'dispute'), 0)::bigint AS disputed_nano
FROM payments JOIN payment_reductions AS reductions USING (payment_intent)
WHERE payments.id = %(id)s AND takes
