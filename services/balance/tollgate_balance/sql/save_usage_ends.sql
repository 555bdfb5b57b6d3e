-- The first ends read after the fence count; later ones would only delay the release.
UPDATE boots SET usage_ends = %(ends)s WHERE boot_id = ANY(%(boot_ids)s) AND usage_ends IS NULL
