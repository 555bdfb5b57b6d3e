-- Whether a month of `usage_hours` has sums by hour still.
SELECT count() FROM usage_hours WHERE toYYYYMM(until) = {month:UInt32} AND hour != toStartOfDay(hour, 'UTC')
