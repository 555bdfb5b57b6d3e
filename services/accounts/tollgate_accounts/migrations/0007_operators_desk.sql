-- A suspended organisation's keys are known at the edge and may call nothing.
ALTER TABLE organisations ADD COLUMN IF NOT EXISTS suspended_at timestamptz(3);
-- Operators find a key by its first characters, which its owner still sees.
CREATE INDEX api_keys_by_hint ON api_keys (hint text_pattern_ops);
