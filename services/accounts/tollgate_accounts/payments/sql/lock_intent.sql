-- The event that names an intent and the one that reduces it may come at once, and neither must miss the other.
SELECT pg_advisory_xact_lock(hashtextextended(%(payment_intent)s, 7304003))
