-- Read fenced boots whose acknowledged usage is consumed completely: past the stored end of every partition. A
-- partition that no consumer has started has no row and counts as not consumed.
SELECT boot_id FROM boots
WHERE fenced_at IS NOT NULL AND released_at IS NULL AND usage_ends IS NOT NULL AND NOT EXISTS (
    SELECT FROM unnest(usage_ends) WITH ORDINALITY AS ends (end_offset, number)
    LEFT JOIN consumer_offsets ON consumer_offsets.topic = %(topic)s AND consumer_offsets.partition = number - 1
    WHERE coalesce(consumer_offsets.next, -1) < end_offset
)
ORDER BY boot_id
