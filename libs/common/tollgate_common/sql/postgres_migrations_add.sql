-- Record a migration, in its transaction.
INSERT INTO migrations (name, digest) VALUES (%(name)s, %(digest)s)
