-- Read every version of every plan, to rate any event.
SELECT plan_version, multiplier_bps FROM plan_versions
