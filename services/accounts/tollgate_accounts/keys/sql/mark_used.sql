-- Keeps the newest time, whatever the order of the events. Updates each key at most once per interval.
UPDATE api_keys SET last_used_at = used.at
FROM unnest(%(ids)s::uuid[], %(times)s::timestamptz[]) AS used (id, at)
WHERE api_keys.id = used.id
    AND (api_keys.last_used_at IS NULL OR api_keys.last_used_at <= used.at - %(every)s::interval)
