-- The server's clock, in seconds since 1970.
SELECT toUnixTimestamp(now())
