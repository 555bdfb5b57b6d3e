-- Returns all keys, the newest last. Ages use the database's clock, which all instances share. now() is when the
-- transaction started: a rotation that waited for the lock would see the other's key as a future one and add another.
SELECT kid, public_key, sealed_private_key, clock_timestamp() - signs_from AS signs_since FROM signing_keys
ORDER BY signs_from, created_at
