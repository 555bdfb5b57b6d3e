-- What the pieces of some ranges of offsets add up to, from the index alone. The checksum is that of `source.Digest`.
-- LATERAL, so that a range is added up in one pass of a hash table: joined, all rows of all ranges would be sorted first.
SELECT r.partition, r.first + pieces.piece * r.step AS start, pieces.charges, pieces.amount_nano, pieces.checksum
FROM unnest(%(partitions)s::integer[], %(starts)s::bigint[], %(ends)s::bigint[], %(steps)s::bigint[])
    AS r (partition, first, after, step)
CROSS JOIN LATERAL (
    SELECT
        (p.event_offset - r.first) / r.step AS piece,
        count(*) AS charges,
        sum(p.amount_nano) AS amount_nano,
        sum((p.amount_nano %% 65521) * (p.event_offset %% 65521 + 1)) AS checksum
    FROM postings AS p
    WHERE p.event_partition = r.partition AND p.event_offset >= r.first AND p.event_offset < r.after
    GROUP BY piece
) AS pieces
ORDER BY r.partition, start
