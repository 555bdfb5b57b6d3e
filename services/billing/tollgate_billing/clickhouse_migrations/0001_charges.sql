-- One row an event of usage.v1. An event that charges nothing (a closed lease, a void) has a row too, because the rows are
-- the sink's knowledge of what it has seen: a seq without a row would look like a loss.
--
-- * A charge explains itself: amount_nano = (Σ lines.quantity × lines.price / 10^6 + request_nano) × multiplier_bps / 10^4,
--   rounded half up once, with the prices of the versions that it names.
-- * ORDER BY account first, because every query names one account; then time, so that a page of the newest charges and
--   an invoice's month are a few neighbouring granules; then the request, so that a page can end between two charges of
--   one millisecond.
-- * PARTITION BY the month of ingest that the sink declares for a block, not of the event: a block is one part, or its
--   insert would not be atomic.
-- * No TTL: charges are the books.
-- * CONSTRAINT fresh refuses an insert that a dead client left behind. The window remembers the token of each block for
--   longer than such an insert can live: two inserts a second of each of 64 partitions fill it in six minutes, and an
--   insert lives for two and a half. On a cluster the engine is ReplicatedMergeTree, which ignores the window named here
--   and needs its own: replicated_deduplication_window = 50000, replicated_deduplication_window_seconds = 3600.
-- * fsync_after_insert, because the sink commits its offset on the OK.
-- * PROJECTION daily answers sums by day, model and key from one row each. It lives in the part of its rows, so it cannot
--   differ from them. It is used only by queries whose every time expression is toStartOfDay(at).
-- * The minmax indexes serve the sink's recovery, which asks for ranges of offsets and for recent boots.
-- * Ids are String, not UUID: a malformed one must become a row or a dead letter, never an insert that cannot succeed.
CREATE TABLE IF NOT EXISTS charges (
    topic LowCardinality(String),
    partition UInt16,
    offset UInt64 CODEC(Delta, ZSTD),
    boot_id LowCardinality(String),
    seq UInt64 CODEC(Delta, ZSTD),
    block_month UInt32,
    insert_by DateTime64(3, 'UTC') CODEC(Delta, ZSTD),

    kind Enum8('charge' = 1, 'lease_closed' = 2, 'void' = 3),
    at DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    account_id String CODEC(ZSTD),
    request_id String CODEC(ZSTD),
    lease_id String CODEC(ZSTD),
    project_id LowCardinality(String),
    key_id LowCardinality(String),
    endpoint LowCardinality(String),
    model LowCardinality(String),
    served_model LowCardinality(String),
    provider LowCardinality(String),
    stream Bool,
    end_user String CODEC(ZSTD),
    client LowCardinality(String),
    outcome LowCardinality(String),
    finish_reason LowCardinality(String),
    estimated Bool,

    -- A token is in exactly one class, as on the event: `input_tokens` leaves out the cached ones.
    input_tokens UInt64 CODEC(T64, ZSTD),
    cached_input_tokens UInt64 CODEC(T64, ZSTD),
    cache_write_tokens UInt64 CODEC(T64, ZSTD),
    audio_input_tokens UInt64 CODEC(T64, ZSTD),
    image_input_tokens UInt64 CODEC(T64, ZSTD),
    output_tokens UInt64 CODEC(T64, ZSTD),
    reasoning_tokens UInt64 CODEC(T64, ZSTD),
    audio_output_tokens UInt64 CODEC(T64, ZSTD),

    amount_nano Int64 CODEC(T64, ZSTD),
    lines Nested (token_class LowCardinality(String), quantity UInt64, price Int64),
    request_nano Int64 CODEC(T64, ZSTD),
    multiplier_bps UInt32 CODEC(T64, ZSTD),
    price_version LowCardinality(String),
    plan_version LowCardinality(String),

    CONSTRAINT fresh CHECK insert_by >= now(),
    INDEX by_offset offset TYPE minmax GRANULARITY 1,
    INDEX by_boot boot_id TYPE minmax GRANULARITY 1,
    PROJECTION daily (
        SELECT
            account_id,
            toStartOfDay(at),
            model,
            key_id,
            kind,
            count(),
            sum(amount_nano)
        GROUP BY account_id, toStartOfDay(at), model, key_id, kind
    )
)
ENGINE = MergeTree
PARTITION BY block_month
ORDER BY (account_id, at, request_id)
SETTINGS non_replicated_deduplication_window = 50000, fsync_after_insert = 1
