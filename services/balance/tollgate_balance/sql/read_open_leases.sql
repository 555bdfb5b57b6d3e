-- What a boot has open: to find leases that it does not know of.
SELECT lease_id FROM leases WHERE boot_id = %(boot_id)s AND state = 'open' ORDER BY lease_id
