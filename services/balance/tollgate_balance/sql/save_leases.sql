-- Save new and changed leases under the locks of their accounts. The caller counts the rows, because a lease never
-- moves to another account. Lists of windows are sent as text, because the arrays of an array must have equal lengths.
INSERT INTO leases (lease_id, account_id, boot_id, state, authorised_nano, settled_nano, rev, allotment_ids)
SELECT lease_id, account_id, boot_id, state, authorised_nano, settled_nano, rev, allotment_ids::bigint[]
FROM unnest(
    %(lease_ids)b::text[], %(account_ids)b::text[], %(boot_ids)b::text[], %(states)b::text[],
    %(authorised)b::bigint[], %(settled)b::bigint[], %(revs)b::bigint[], %(windows)b::text[]
) AS changed (lease_id, account_id, boot_id, state, authorised_nano, settled_nano, rev, allotment_ids)
ON CONFLICT (lease_id) DO UPDATE
SET state = excluded.state, authorised_nano = excluded.authorised_nano, settled_nano = excluded.settled_nano,
    rev = excluded.rev, changed_at = now()
WHERE leases.account_id = excluded.account_id
