-- Add a message for other services, in the transaction of the change that it reports.
INSERT INTO outbox (topic, key, version, payload) VALUES (%(topic)s, %(key)s, %(version)s, %(payload)s)
