-- COPY, because a batch has thousands of postings. In binary, because text costs each side twice as much.
COPY postings (
    account_id, kind, debit, credit, amount_nano, reference, happened_at, event_partition, event_offset
) FROM STDIN (FORMAT BINARY)
