-- One row and no other: renewals must not wait for grants, nor grants for renewals. The first one makes the boot known;
-- no row back means that it is fenced.
INSERT INTO boots (boot_id, edge) VALUES (%(boot_id)s, %(edge)s)
ON CONFLICT (boot_id) DO UPDATE SET renewed_at = now(), edge = excluded.edge WHERE boots.fenced_at IS NULL
RETURNING boot_id
