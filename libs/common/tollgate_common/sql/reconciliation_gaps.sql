-- The half-open ranges of missing seqs below the highest, for boots whose sums differ from the expected ones.
SELECT partition, boot_id, previous + 1 AS gap_start, seq AS gap_end
FROM (
    SELECT
        partition,
        boot_id,
        toInt64(seq) AS seq,
        lagInFrame(toInt64(seq), 1, toInt64(-1)) OVER (
            PARTITION BY partition, boot_id ORDER BY seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS previous
    FROM {table:Identifier}
    WHERE topic = {topic:String} AND boot_id IN {boot_ids:Array(String)}
)
WHERE seq > previous + 1
ORDER BY partition, boot_id, gap_start
