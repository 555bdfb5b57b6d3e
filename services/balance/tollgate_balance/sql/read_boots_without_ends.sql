-- Read boots whose fence is committed. Only now may the log's ends be read for them.
SELECT boot_id FROM boots WHERE fenced_at IS NOT NULL AND released_at IS NULL AND usage_ends IS NULL
