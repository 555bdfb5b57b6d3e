-- Sums by hour and by every dimension but two: what dashboards read, and what outlives the rows. `rollup.py` writes it, one
-- insert for the rows that were inserted between two moments; `until` is the later one, and the newest of it tells what
-- has been rolled up. docs/decisions/0014 tells why this is no projection.
--
-- * A question names one account and a range: account and hour come first. It reads `until` and `measures` of all that it
--   finds there, so both are small.
-- * PARTITION BY the month of `until`, which is one in an insert: an insert is one part, or it would not be atomic. The
--   newest `until` is known from the partitions alone, without reading.
-- * Small granules: of each part, a small account's question reads one or two whole ones.
-- * Compact parts, whatever their size: a question reads few columns of few rows of many parts, and opening the files is
--   most of its work.
-- * Finish reason and end user differ from request to request: by those, there would be nearly as many rows as requests.
CREATE TABLE IF NOT EXISTS usage_hours (
    account_id String,
    hour DateTime('UTC') CODEC(Delta, ZSTD),
    project_id LowCardinality(String),
    key_id LowCardinality(String),
    model LowCardinality(String),
    served_model LowCardinality(String),
    provider LowCardinality(String),
    endpoint LowCardinality(String),
    stream Bool,
    client LowCardinality(String),
    status UInt32,
    outcome LowCardinality(String),
    error_code LowCardinality(String),
    block_month UInt32,
    until DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    measures Array(Int64) CODEC(ZSTD)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(until)
ORDER BY (account_id, hour, project_id, key_id, model)
SETTINGS
    index_granularity = 1024,
    non_replicated_deduplication_window = 10000,
    fsync_after_insert = 1,
    min_bytes_for_wide_part = 1000000000000,
    min_rows_for_wide_part = 1000000000000
