-- The caller holds the locks of the rows and has computed the values from them.
UPDATE accounts
SET posted_nano = changed.posted_nano, held_nano = changed.held_nano, due_nano = changed.due_nano,
    version = changed.version, unburned_nano = changed.unburned_nano, expiring_nano = changed.expiring_nano,
    changed_at = now()
FROM unnest(
    %(account_ids)b::text[], %(posted)b::bigint[], %(held)b::bigint[], %(due)b::bigint[], %(versions)b::bigint[],
    %(unburned)b::bigint[], %(expiring)b::bigint[]
) AS changed (account_id, posted_nano, held_nano, due_nano, version, unburned_nano, expiring_nano)
WHERE accounts.account_id = changed.account_id
