-- Renewals ask the leases under them to shrink until then.
UPDATE allotments SET short_until = now() + %(lasting)s WHERE allotment_id = ANY(%(allotment_ids)b)
