-- The event that names an intent and an event that reduces it may arrive concurrently. The lock makes one of them see
-- the other.
SELECT pg_advisory_xact_lock(hashtextextended(%(payment_intent)s, 7304003))
