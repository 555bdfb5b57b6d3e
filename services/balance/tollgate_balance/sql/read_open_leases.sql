-- Read a boot's open leases, to find leases that the boot does not know.
SELECT lease_id FROM leases WHERE boot_id = %(boot_id)s AND state = 'open' ORDER BY lease_id
