-- The migrations that have run, with the SHA-256 of their files.
CREATE TABLE IF NOT EXISTS migrations (
    name text PRIMARY KEY,
    digest text NOT NULL,
    ran_at timestamptz NOT NULL DEFAULT now()
)
