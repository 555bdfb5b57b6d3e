-- Gaps are sent as text, because no parameter type for arrays of multiranges is faster.
INSERT INTO sequences (topic, partition, boot_id, high, gaps)
SELECT %(topic)s, %(partition)s, boot_id, high, gaps::int8multirange
FROM unnest(%(boot_ids)b::text[], %(highs)b::bigint[], %(gaps)b::text[]) AS changed (boot_id, high, gaps)
ON CONFLICT (topic, partition, boot_id) DO UPDATE SET high = excluded.high, gaps = excluded.gaps
