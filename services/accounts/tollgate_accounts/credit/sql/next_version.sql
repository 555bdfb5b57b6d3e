-- Locks the organization until the transaction ends, so that its credit events leave in the order of their versions.
UPDATE organisations SET credit_version = credit_version + 1 WHERE id = %(account_id)s RETURNING credit_version
