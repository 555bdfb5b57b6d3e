-- The migrations that have run, with the SHA-256 of their files.
CREATE TABLE IF NOT EXISTS migrations (package String, name String, digest String, ran_at DateTime DEFAULT now())
ENGINE = MergeTree ORDER BY (package, name)
