-- Sum the pieces of ranges of offsets, from the index alone. `source.Digest` defines the checksum. LATERAL, so that one
-- pass of a hash table sums a range; a plain join would first sort all rows of all ranges.
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
