-- Allow one seeding or import at a time, until the end of the transaction. Two services that start together must not
-- both fill an empty catalog.
SELECT pg_advisory_xact_lock(7304101)
