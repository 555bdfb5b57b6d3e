-- What a boot has open on accounts that ran short. From the shortages, for they are few.
SELECT lease_id FROM shortages
JOIN leases ON leases.account_id = shortages.account_id AND leases.boot_id = %(boot_id)s AND leases.state = 'open'
WHERE shortages.until > now()
ORDER BY lease_id
