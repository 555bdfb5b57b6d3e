-- What is no longer kept, with the age in seconds of its announcement.
SELECT toString(tier), month, dateDiff('second', min(at), now64(3, 'UTC')) FROM expired GROUP BY tier, month
