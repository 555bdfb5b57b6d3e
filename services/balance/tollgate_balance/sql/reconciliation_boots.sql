-- Read the ledger's sequence state of each boot, which is written in the transactions that post its usage.
SELECT partition, boot_id, high, gaps FROM sequences
WHERE topic = %(topic)s AND boot_id >= %(floor)s
ORDER BY partition, boot_id
