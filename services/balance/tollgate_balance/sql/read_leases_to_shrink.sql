-- Read a boot's open leases on accounts, or under budgets, that ran short. It starts from the shortages, which are few.
SELECT lease_id FROM shortages
JOIN leases ON leases.account_id = shortages.account_id AND leases.boot_id = %(boot_id)s AND leases.state = 'open'
WHERE shortages.until > now()
UNION
SELECT lease_id FROM allotments
JOIN leases ON leases.account_id = allotments.account_id AND leases.boot_id = %(boot_id)s AND leases.state = 'open'
    AND allotments.allotment_id = ANY(leases.allotment_ids)
WHERE allotments.short_until > now()
ORDER BY lease_id
