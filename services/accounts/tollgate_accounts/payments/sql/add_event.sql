-- Returns no row if the event has been applied before.
INSERT INTO payment_events (method, event_id, type) VALUES (%(method)s, %(event_id)s, %(type)s)
ON CONFLICT DO NOTHING
RETURNING event_id
