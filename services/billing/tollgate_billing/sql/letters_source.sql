-- Read one message and its state.
SELECT * FROM dead_letter_sources WHERE source = %(source)s
