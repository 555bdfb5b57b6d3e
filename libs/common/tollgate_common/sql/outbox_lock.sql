-- Allow one publisher per database. The lock belongs to the session, so it ends with the connection.
SELECT pg_advisory_lock(7304002)
