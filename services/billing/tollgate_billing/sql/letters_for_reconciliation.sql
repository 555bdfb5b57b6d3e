-- Read all letters with their states, newest first, without payloads. They explain gaps and differences.
SELECT
    l.source, l.source_topic, l.source_partition, l.source_offset, l.consumer, l.reason, l.boot_id, l.seq, l.request_id,
    s.state
FROM dead_letters AS l
JOIN dead_letter_sources AS s USING (source)
WHERE l.sent_at >= %(since)s
ORDER BY l.sent_at DESC
LIMIT %(limit)s
