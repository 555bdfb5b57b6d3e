-- For a leaked key: every token of every key becomes invalid.
DELETE FROM signing_keys
