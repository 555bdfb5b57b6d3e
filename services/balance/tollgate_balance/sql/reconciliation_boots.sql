-- What the ledger knows of each boot, as it was written in the transactions that posted its usage.
SELECT partition, boot_id, high, gaps FROM sequences
WHERE topic = %(topic)s AND boot_id >= %(floor)s
ORDER BY partition, boot_id
