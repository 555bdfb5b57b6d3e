-- Which target served and which failed before it (JSON, read for one request at a time), and what the provider asks; NULL
-- where the catalogue knows no cost, which is not the same as nothing.
ALTER TABLE request_events
    ADD COLUMN IF NOT EXISTS target LowCardinality(String),
    ADD COLUMN IF NOT EXISTS failed_attempts String CODEC(ZSTD),
    ADD COLUMN IF NOT EXISTS provider_cost_nano Nullable(Int64) CODEC(T64, ZSTD)
