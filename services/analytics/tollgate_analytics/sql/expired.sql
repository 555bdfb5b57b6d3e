-- The expired months, with the age of each announcement in seconds.
SELECT toString(tier), month, dateDiff('second', min(at), now64(3, 'UTC')) FROM expired GROUP BY tier, month
