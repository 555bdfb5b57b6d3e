-- The caller holds the locks of their accounts, under which alone leases change.
SELECT lease_id, account_id, boot_id, state, authorised_nano AS limit_nano, settled_nano, rev, allotment_ids FROM leases
WHERE lease_id = ANY(%(lease_ids)b)
