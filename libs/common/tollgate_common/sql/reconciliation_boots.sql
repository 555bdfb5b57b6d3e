-- Sums over the rows of each boot. Without gaps and duplicates there are `high` rows, and the sums of their seqs and of
-- the squares (modulo 2^64) equal those of 0 to high - 1. Only if they differ, the single seqs are read.
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
