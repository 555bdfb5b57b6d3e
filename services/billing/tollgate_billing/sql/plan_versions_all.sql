-- Every version of every plan, to rate whatever an event names.
SELECT plan_version, multiplier_bps FROM plan_versions
