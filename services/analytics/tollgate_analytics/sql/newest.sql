-- The newest event of each kind, from the projection `newest`: how fresh the table is as a whole. It names no account.
SELECT kind, max(at) FROM request_events GROUP BY kind ORDER BY kind
