-- What a pass that was killed has left.
SELECT name FROM system.tables WHERE database = currentDatabase() AND startsWith(name, {prefix:String})
