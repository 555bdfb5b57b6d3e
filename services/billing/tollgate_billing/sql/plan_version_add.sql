-- Insert a version of a plan, under the lock of the plan's row. Versions are never deleted, so their count numbers
-- them.
INSERT INTO plan_versions (plan_version, plan, valid_from, recorded_at, is_correction, multiplier_bps)
SELECT
    format('%%s@%%s', %(plan)s::text, count(*) + 1), %(plan)s, %(valid_from)s, clock_timestamp(), %(is_correction)s,
    %(multiplier_bps)s
FROM plan_versions
WHERE plan = %(plan)s
RETURNING *
