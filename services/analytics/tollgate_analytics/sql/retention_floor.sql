-- The last expired month of each tier.
SELECT toString(tier), max(month) FROM expired GROUP BY tier
