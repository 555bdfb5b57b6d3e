-- Renewals ask the leases under them to shrink until then.
UPDATE allotments SET short_until = now() + %(lasting)s WHERE allotment_id = ANY(%(window_ids)b)
