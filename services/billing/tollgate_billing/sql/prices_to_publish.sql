-- A model's current and coming versions, and those superseded since `since`: an edge may still be rating a request that
-- began under one. A corrected version is superseded where it begins, and the correction stands after it.
SELECT * FROM (
    SELECT *, lead(valid_from) OVER (ORDER BY valid_from, recorded_at) AS superseded_at
    FROM price_versions
    WHERE model = %(model)s
) AS versions
WHERE superseded_at IS NULL OR superseded_at > %(since)s
ORDER BY valid_from, recorded_at
