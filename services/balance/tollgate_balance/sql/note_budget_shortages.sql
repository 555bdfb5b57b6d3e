-- Until then, renewals ask the leases under these windows to shrink.
UPDATE allotments SET short_until = now() + %(lasting)s WHERE allotment_id = ANY(%(window_ids)b)
