-- The fence. No row is updated if another consumer has taken over, or if this batch is already committed.
UPDATE consumer_offsets SET next = %(end)s
WHERE topic = %(topic)s AND partition = %(partition)s AND next = %(start)s AND epoch = %(epoch)s
