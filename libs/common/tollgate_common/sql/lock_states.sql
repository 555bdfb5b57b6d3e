-- The tables whose names are states of a lock, and the server's clock in seconds since 1970.
SELECT name, toUnixTimestamp(now())
FROM system.tables
WHERE database = currentDatabase() AND startsWith(name, {prefix:String})
