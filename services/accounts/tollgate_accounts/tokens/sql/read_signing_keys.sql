-- All keys, the newest last; ages by the database's clock, which all instances share. Not by now(), where the transaction
-- began: one that has waited for the lock would take the key of the one before it for a key to come, and add another.
SELECT kid, public_key, sealed_private_key, clock_timestamp() - signs_from AS signs_since FROM signing_keys
ORDER BY signs_from, created_at
