-- The caller holds the rows' locks and has computed the values from them.
UPDATE accounts
SET posted_nano = changed.posted_nano, held_nano = changed.held_nano, due_nano = changed.due_nano,
    version = changed.version, changed_at = now()
FROM unnest(
    %(account_ids)s::text[], %(posted)s::bigint[], %(held)s::bigint[], %(due)s::bigint[], %(versions)s::bigint[]
) AS changed (account_id, posted_nano, held_nano, due_nano, version)
WHERE accounts.account_id = changed.account_id
