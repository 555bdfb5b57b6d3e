-- No row comes back when the event has had its effect before.
INSERT INTO payment_events (method, event_id, type) VALUES (%(method)s, %(event_id)s, %(type)s)
ON CONFLICT DO NOTHING
RETURNING event_id
