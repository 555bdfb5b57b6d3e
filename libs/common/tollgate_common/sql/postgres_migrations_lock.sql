-- Let one process at a time migrate the database. The lock belongs to the session, so it ends with the connection.
SELECT pg_advisory_lock(7304001)
