-- One publisher a database: the lock is the session's, so it ends with the connection.
SELECT pg_advisory_lock(7304002)
