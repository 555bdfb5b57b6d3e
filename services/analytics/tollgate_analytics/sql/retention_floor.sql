-- The last month of each tier that is no longer kept.
SELECT toString(tier), max(month) FROM expired GROUP BY tier
