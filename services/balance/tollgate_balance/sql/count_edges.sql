-- Count the live edge processes, which share a key's limits. A process that has ended counts until it is fenced.
SELECT count(*) AS edges FROM boots WHERE fenced_at IS NULL
