-- The keys must be locked.
UPDATE api_keys SET version = version + 1 WHERE id = ANY(%(ids)s::uuid[])
