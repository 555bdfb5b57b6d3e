-- The half-open ranges of missing seqs below the highest of each boot, ascending.
SELECT boot_id, previous + 1 AS gap_start, seq AS gap_end
FROM (
    SELECT
        boot_id,
        toInt64(seq) AS seq,
        lagInFrame(toInt64(seq), 1, toInt64(-1)) OVER (
            PARTITION BY boot_id ORDER BY seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS previous
    FROM {table:Identifier}
    WHERE topic = {topic:String} AND partition = {partition:UInt16} AND offset < {before:UInt64} AND boot_id >= {floor:String}
)
WHERE seq > previous + 1
ORDER BY boot_id, gap_start
