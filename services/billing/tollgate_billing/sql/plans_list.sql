-- Read every plan with every version of its multiplier, oldest first.
SELECT plans.retired_at, plan_versions.*
FROM plans JOIN plan_versions USING (plan)
ORDER BY plan, valid_from, recorded_at
