-- Read a plan's current and scheduled versions, and those superseded since `since`, like prices_to_publish.
SELECT * FROM (
    SELECT *, lead(valid_from) OVER (ORDER BY valid_from, recorded_at) AS superseded_at
    FROM plan_versions
    WHERE plan = %(plan)s
) AS versions
WHERE superseded_at IS NULL OR superseded_at > %(since)s
ORDER BY valid_from, recorded_at
