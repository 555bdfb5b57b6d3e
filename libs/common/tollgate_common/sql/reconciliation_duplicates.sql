-- The seqs with more than one row, for boots whose sums differ from the expected ones.
SELECT partition, boot_id, seq, count() AS copies, any(request_id) AS request_id
FROM {table:Identifier}
WHERE topic = {topic:String} AND boot_id IN {boot_ids:Array(String)}
GROUP BY partition, boot_id, seq
HAVING copies > 1
ORDER BY partition, boot_id, seq
