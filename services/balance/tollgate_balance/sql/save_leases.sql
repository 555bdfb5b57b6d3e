-- New leases and changed ones, under the locks of their accounts. The caller counts the rows: a lease never moves to
-- another account. Lists of allotments travel as text: an array of arrays must have equal ones.
INSERT INTO leases (lease_id, account_id, boot_id, state, authorised_nano, settled_nano, rev, allotment_ids)
SELECT lease_id, account_id, boot_id, state, authorised_nano, settled_nano, rev, allotment_ids::bigint[]
FROM unnest(
    %(lease_ids)s::text[], %(account_ids)s::text[], %(boot_ids)s::text[], %(states)s::text[],
    %(authorised)s::bigint[], %(settled)s::bigint[], %(revs)s::bigint[], %(allotments)s::text[]
) AS changed (lease_id, account_id, boot_id, state, authorised_nano, settled_nano, rev, allotment_ids)
ON CONFLICT (lease_id) DO UPDATE
SET state = excluded.state, authorised_nano = excluded.authorised_nano, settled_nano = excluded.settled_nano,
    rev = excluded.rev, changed_at = now()
WHERE leases.account_id = excluded.account_id
