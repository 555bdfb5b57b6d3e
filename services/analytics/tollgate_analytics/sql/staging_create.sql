-- A table for a month by day, which then takes the place of its hours.
CREATE TABLE {table:Identifier} AS usage_hours
