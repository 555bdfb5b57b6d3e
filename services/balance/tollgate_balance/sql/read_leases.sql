-- The caller holds the locks of the accounts, without which leases never change.
SELECT lease_id, account_id, boot_id, state, authorised_nano AS limit_nano, settled_nano, rev, allotment_ids AS window_ids
FROM leases
WHERE lease_id = ANY(%(lease_ids)b)
