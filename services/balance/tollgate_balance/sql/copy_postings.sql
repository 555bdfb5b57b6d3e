-- COPY, because a batch has thousands of them; in binary, which costs either side half of what text does.
COPY postings (
    account_id, kind, debit, credit, amount_nano, reference, happened_at, event_partition, event_offset
) FROM STDIN (FORMAT BINARY)
