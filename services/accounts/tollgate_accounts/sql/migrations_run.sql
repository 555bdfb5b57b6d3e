-- For readiness: a service that starts before its tables are there must wait for them.
SELECT name FROM migrations
