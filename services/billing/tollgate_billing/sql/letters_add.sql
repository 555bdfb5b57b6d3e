-- Insert letters. A record that exists was read twice.
INSERT INTO dead_letters (
    topic, partition, "offset", source, source_topic, source_partition, source_offset, consumer, reason, key, value,
    sent_at, boot_id, seq, request_id, account_id
) VALUES (
    %(topic)s, %(partition)s, %(offset)s, %(source)s, %(source_topic)s, %(source_partition)s, %(source_offset)s,
    %(consumer)s, %(reason)s, %(key)s, %(value)s, %(sent_at)s, %(boot_id)s, %(seq)s, %(request_id)s, %(account_id)s
) ON CONFLICT DO NOTHING
