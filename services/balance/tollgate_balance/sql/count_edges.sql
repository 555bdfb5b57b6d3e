-- How many edge processes live: those that share a key's limits. One that has just ended counts until it is fenced.
SELECT count(*) AS edges FROM boots WHERE fenced_at IS NULL
