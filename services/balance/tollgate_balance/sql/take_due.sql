-- Take freed credit for the accounts' oldest due reductions and post it under their ids. The caller holds the locks of
-- the accounts, without which reductions never change, and takes no more than is due.
WITH open AS (
    SELECT adjustment_id, account_id, due_nano, taken_nano,
        sum(due_nano) OVER (PARTITION BY account_id ORDER BY adjusted_at, adjustment_id) - due_nano AS due_before_nano
    FROM adjustments
    JOIN unnest(%(account_ids)b::text[], %(amounts)b::bigint[]) AS now_taken (account_id, taken_nano)
        USING (account_id)
    WHERE due_nano > 0
), taken AS (
    UPDATE adjustments
    SET due_nano = adjustments.due_nano - least(open.due_nano, taken_nano - due_before_nano)
    FROM open
    WHERE adjustments.adjustment_id = open.adjustment_id AND due_before_nano < taken_nano
    RETURNING adjustments.account_id, adjustments.adjustment_id,
        least(open.due_nano, taken_nano - due_before_nano)::bigint AS amount_nano
)
INSERT INTO postings (account_id, kind, debit, credit, amount_nano, reference, happened_at)
SELECT account_id, 'adjustment', 'customer_credit', 'adjustments', amount_nano, adjustment_id, now()
FROM taken
