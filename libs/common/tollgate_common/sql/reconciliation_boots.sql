-- What the rows say of each boot. Without a gap or a double there are `high` rows, and their seqs add up to those of
-- 0 to high - 1, and so do the squares (modulo 2^64): only where that is not so, must anyone look at the single seqs.
SELECT
    partition,
    boot_id,
    max(seq) + 1 AS high,
    count() AS rows,
    sum(seq) AS seqs,
    sum(seq * seq) AS squares
FROM {table:Identifier}
WHERE topic = {topic:String} AND boot_id >= {floor:String}
GROUP BY partition, boot_id
ORDER BY partition, boot_id
