-- The progress of the roll-up, as a deadline of inserts. The engine answers from the metadata of parts and reads no
-- data.
SELECT max(until) FROM usage_hours
