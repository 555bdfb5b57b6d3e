-- What is no longer kept, written down before it is dropped: the rows of a month (tier `rows`), or its hours, of which days
-- remain (tier `hours`). Reports refuse what they could answer in part only, and audits begin after it.
CREATE TABLE IF NOT EXISTS expired (
    tier Enum8('rows' = 1, 'hours' = 2),
    month UInt32,
    at DateTime64(3, 'UTC')
)
ENGINE = MergeTree
ORDER BY (tier, month)
SETTINGS fsync_after_insert = 1
