-- Two operators who decide about one message at once: the second sees what the first decided.
SELECT pg_advisory_xact_lock(hashtextextended(%(source)s, 7304003))
