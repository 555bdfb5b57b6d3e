-- Renew a boot. The statement touches one row, so that renewals and grants never wait for each other. The first renewal
-- makes the boot known. No row is returned if the boot is fenced.
INSERT INTO boots (boot_id, edge) VALUES (%(boot_id)s, %(edge)s)
ON CONFLICT (boot_id) DO UPDATE SET renewed_at = now(), edge = excluded.edge WHERE boots.fenced_at IS NULL
RETURNING boot_id
