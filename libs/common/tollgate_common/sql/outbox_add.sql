-- A message for other services, in the transaction of the fact that it tells.
INSERT INTO outbox (topic, key, version, payload) VALUES (%(topic)s, %(key)s, %(version)s, %(payload)s)
