-- Record that the boot has no holds left to release.
UPDATE boots SET released_at = now() WHERE boot_id = %(boot_id)s AND released_at IS NULL
