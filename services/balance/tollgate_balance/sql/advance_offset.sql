-- The fence: no row means that another consumer has taken over, or that this batch is already in.
UPDATE consumer_offsets SET next = %(end)s
WHERE topic = %(topic)s AND partition = %(partition)s AND next = %(start)s AND epoch = %(epoch)s
