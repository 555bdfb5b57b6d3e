-- One seeding or import at a time, until the end of the transaction: two services that start together must not both fill
-- an empty catalogue.
SELECT pg_advisory_xact_lock(7304101)
