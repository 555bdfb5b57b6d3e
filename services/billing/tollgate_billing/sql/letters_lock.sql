-- Lock a message. If two operators decide about it at once, the second one sees the decision of the first.
SELECT pg_advisory_xact_lock(hashtextextended(%(source)s, 7304003))
