-- Tells after a refused fence whether the batch is already in: an attempt whose answer got lost may have committed.
SELECT next, epoch FROM consumer_offsets WHERE topic = %(topic)s AND partition = %(partition)s
