-- Lock boots. The fence waits for this lock, so a boot that is alive here stays alive until the commit. Renewals do not
-- wait.
SELECT boot_id, fenced_at IS NOT NULL AS fenced, (SELECT count(*) FROM boots WHERE fenced_at IS NULL) AS edges
FROM boots
WHERE boot_id = ANY(%(boot_ids)b)
ORDER BY boot_id
FOR KEY SHARE
