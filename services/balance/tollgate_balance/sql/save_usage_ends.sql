-- Store the first ends that were read after the fence. Later ends would only delay the release.
UPDATE boots SET usage_ends = %(ends)s WHERE boot_id = ANY(%(boot_ids)s) AND usage_ends IS NULL
