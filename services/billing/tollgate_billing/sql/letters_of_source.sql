-- Read all dead letters of one message.
SELECT l.topic, l.partition, l."offset", l.consumer, l.reason, l.sent_at, l.key, l.value
FROM dead_letters AS l
WHERE l.source = %(source)s
ORDER BY l.sent_at, l.topic, l.partition, l."offset"
