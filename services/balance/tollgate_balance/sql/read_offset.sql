-- Read after a rejected fence whether the batch is committed: the response of an earlier attempt may have been lost.
SELECT next, epoch FROM consumer_offsets WHERE topic = %(topic)s AND partition = %(partition)s
