-- Whether a month of `usage_hours` still has sums by hour.
SELECT count() FROM usage_hours WHERE toYYYYMM(until) = {month:UInt32} AND hour != toStartOfDay(hour, 'UTC')
