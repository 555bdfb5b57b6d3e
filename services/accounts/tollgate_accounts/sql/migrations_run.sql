-- Readiness compares these with the migrations that the service needs.
SELECT name FROM migrations
