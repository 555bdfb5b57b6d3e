-- Create a staging table for a month's sums by day, which then replaces the month's hours.
CREATE TABLE {table:Identifier} AS usage_hours
