-- The months for which a table has rows.
SELECT DISTINCT toUInt32(partition) AS month
FROM system.parts
WHERE active AND database = currentDatabase() AND table = {table:String}
ORDER BY month
