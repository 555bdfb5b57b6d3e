-- One row an event of requests.v1 and usage.v1. Every stamped event has a row, whatever its kind, because the rows are
-- also the sink's knowledge of what it has seen: a seq without a row would look like a loss.
--
-- * One table, not one of requests and one of usage: both sides of a request carry the same dimensions, so that every
--   report is one sum over one table, and requests and tokens cannot be joined wrongly. A measure is zero where its kind
--   has none.
-- * ORDER BY account first, because every query names one account; then kind, so that a page of requests reads closed
--   events only; then time, so that a range, and the newest page, are a few neighbouring granules.
-- * PARTITION BY the month of ingest that the sink declares for a block, not of the event: a block is one part, or its
--   insert would not be atomic.
-- * CONSTRAINT fresh refuses an insert that a dead client left behind; the deduplication window remembers each block's
--   token for longer than such an insert can live.
-- * PROJECTION hourly answers the reports: one row an hour, account, model, key and part instead of one an event. It
--   lives in the part of its rows, so it cannot differ from them. It serves only queries whose every time expression is
--   toStartOfHour(at).
-- * PROJECTION newest tells how fresh the table is from one row a part.
-- * PROJECTION sequence is what the sink reads when it recovers. On 5 million rows it takes the state of a partition from
--   420 to 16 ms and the look for a block from 45 to 17, for 6% of the table's size; minmax indexes on offset and boot_id
--   gained nothing, because accounts come first in the order.
-- * Durability: the sink commits an offset once its insert is confirmed, so the insert must be on the disk by then.
CREATE TABLE IF NOT EXISTS request_events (
    topic LowCardinality(String),
    partition UInt16,
    offset UInt64 CODEC(Delta, ZSTD),
    boot_id LowCardinality(String),
    seq UInt64 CODEC(Delta, ZSTD),
    block_month UInt32,
    insert_by DateTime64(3, 'UTC') CODEC(Delta, ZSTD),

    kind Enum8('opened' = 1, 'closed' = 2, 'used' = 3, 'heartbeat' = 4, 'lease_closed' = 5, 'void' = 6),
    at DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    account_id String,
    project_id LowCardinality(String),
    key_id LowCardinality(String),
    model LowCardinality(String),
    served_model LowCardinality(String),
    provider LowCardinality(String),
    endpoint LowCardinality(String),
    stream Bool,
    end_user String CODEC(ZSTD),
    client LowCardinality(String),
    request_id String CODEC(ZSTD),

    outcome LowCardinality(String),
    finish_reason LowCardinality(String),
    opened_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    status UInt32,
    error_code LowCardinality(String),
    latency_ms UInt32,
    first_token_ms Nullable(UInt32),
    attempts UInt32,

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
    estimated Bool,
    price_version LowCardinality(String),
    plan_version LowCardinality(String),

    CONSTRAINT fresh CHECK insert_by >= now(),
    PROJECTION hourly (
        SELECT
            account_id,
            model,
            key_id,
            toStartOfHour(at),
            countIf(kind = 'closed'),
            countIf(kind = 'used'),
            sum(input_tokens),
            sum(cached_input_tokens),
            sum(cache_write_tokens),
            sum(audio_input_tokens),
            sum(image_input_tokens),
            sum(output_tokens),
            sum(reasoning_tokens),
            sum(audio_output_tokens),
            sum(amount_nano)
        GROUP BY account_id, model, key_id, toStartOfHour(at)
    ),
    PROJECTION newest (SELECT kind, max(at) GROUP BY kind),
    PROJECTION sequence (
        SELECT topic, partition, boot_id, seq, offset
        ORDER BY topic, partition, boot_id, seq
    )
)
ENGINE = MergeTree
PARTITION BY block_month
ORDER BY (account_id, kind, at, request_id)
SETTINGS non_replicated_deduplication_window = 50000, fsync_after_insert = 1
