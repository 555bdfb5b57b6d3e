-- Read a model's current and scheduled versions, and those superseded since `since`, because an edge may still be
-- rating a request that started under one. A corrected version is superseded at its own start, and its correction
-- follows it.
SELECT * FROM (
    SELECT *, lead(valid_from) OVER (ORDER BY valid_from, recorded_at) AS superseded_at
    FROM price_versions
    WHERE model = %(model)s
) AS versions
WHERE superseded_at IS NULL OR superseded_at > %(since)s
ORDER BY valid_from, recorded_at
