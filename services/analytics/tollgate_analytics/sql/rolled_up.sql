-- Up to when rows are rolled up, by the time until which each might be inserted. From the parts alone, without reading.
SELECT max(until) FROM usage_hours
