-- The staging tables that a killed pass left behind.
SELECT name FROM system.tables WHERE database = currentDatabase() AND startsWith(name, {prefix:String})
