-- The state of the highest rank wins, then the newest event, whatever the order of arrival.
INSERT INTO payment_reductions AS known
    (id, kind, payment_intent, amount_nano, status, takes, rank, told_at, told_by)
VALUES (
    %(id)s, %(kind)s, %(payment_intent)s, %(amount_nano)s, %(status)s, %(takes)s, %(rank)s, %(reported_at)s, %(reported_by)s
)
ON CONFLICT (id) DO UPDATE SET
    amount_nano = EXCLUDED.amount_nano, status = EXCLUDED.status, takes = EXCLUDED.takes, rank = EXCLUDED.rank,
    told_at = EXCLUDED.told_at, told_by = EXCLUDED.told_by
WHERE (EXCLUDED.rank, EXCLUDED.told_at, EXCLUDED.told_by) > (known.rank, known.told_at, known.told_by)
