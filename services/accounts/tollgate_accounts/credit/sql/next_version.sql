-- Locks the organization until the transaction ends: messages about its credit leave in the order of their versions.
UPDATE organisations SET credit_version = credit_version + 1 WHERE id = %(account_id)s RETURNING credit_version
