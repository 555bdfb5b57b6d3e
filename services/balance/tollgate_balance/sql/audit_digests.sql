-- What the pieces of some ranges of offsets add up to, from the index alone. The checksum is that of `audit.Digest`.
SELECT
    r.partition,
    r.first + (p.event_offset - r.first) / r.step * r.step AS start,
    count(*) AS charges,
    sum(p.amount_nano) AS amount_nano,
    sum((p.amount_nano %% 65521) * (p.event_offset %% 65521 + 1)) AS checksum
FROM unnest(%(partitions)s::integer[], %(starts)s::bigint[], %(ends)s::bigint[], %(steps)s::bigint[])
    AS r (partition, first, after, step)
JOIN postings AS p
    ON p.event_partition = r.partition AND p.event_offset >= r.first AND p.event_offset < r.after
GROUP BY r.partition, start
ORDER BY r.partition, start
