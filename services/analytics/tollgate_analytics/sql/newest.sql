-- The time of the newest event of each kind, from the projection `newest`: the freshness of the whole table. No account
-- is bound.
SELECT kind, max(at) FROM request_events GROUP BY kind ORDER BY kind
