-- Read a fenced boot's leases on locked accounts.
SELECT lease_id, account_id, boot_id, state, authorised_nano AS limit_nano, settled_nano, rev, allotment_ids AS window_ids
FROM leases
WHERE boot_id = %(boot_id)s AND state IN ('open', 'closed') AND account_id = ANY(%(account_ids)s)
