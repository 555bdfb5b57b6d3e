-- All keys, the newest last; ages by the database's clock, which all instances share.
SELECT kid, public_key, sealed_private_key, now() - signs_from AS signs_since FROM signing_keys
ORDER BY signs_from, created_at
