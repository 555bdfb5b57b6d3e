-- Read some accounts on which a fenced boot has leases to release. A fenced boot gets no new ones.
SELECT DISTINCT account_id FROM leases
WHERE boot_id = %(boot_id)s AND state IN ('open', 'closed')
ORDER BY account_id
LIMIT %(limit)s
