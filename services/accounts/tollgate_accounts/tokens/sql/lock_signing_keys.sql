-- Of two instances that rotate at once, the second sees what the first did. Readers do not wait.
LOCK TABLE signing_keys IN SHARE ROW EXCLUSIVE MODE
