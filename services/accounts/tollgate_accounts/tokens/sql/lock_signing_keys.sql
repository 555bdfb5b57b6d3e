-- Serializes rotations: of two instances, the second sees the first's key. Readers do not wait.
LOCK TABLE signing_keys IN SHARE ROW EXCLUSIVE MODE
