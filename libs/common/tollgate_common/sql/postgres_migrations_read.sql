-- The digests of the migrations that have run.
SELECT name, digest FROM migrations
