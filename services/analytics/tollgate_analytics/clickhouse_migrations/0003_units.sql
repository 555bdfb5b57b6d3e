-- The classes of tokens that came later, and units that are no tokens. One statement, so that no row can be written
-- between two of them. The projection `hourly` does not have them: it is made anew for the reports that ask for them.
ALTER TABLE request_events
    ADD COLUMN IF NOT EXISTS cache_write_1h_tokens UInt64 CODEC(T64, ZSTD),
    ADD COLUMN IF NOT EXISTS cached_audio_input_tokens UInt64 CODEC(T64, ZSTD),
    ADD COLUMN IF NOT EXISTS cached_image_input_tokens UInt64 CODEC(T64, ZSTD),
    ADD COLUMN IF NOT EXISTS image_output_tokens UInt64 CODEC(T64, ZSTD),
    ADD COLUMN IF NOT EXISTS images UInt64 CODEC(T64, ZSTD),
    ADD COLUMN IF NOT EXISTS audio_seconds UInt64 CODEC(T64, ZSTD),
    ADD COLUMN IF NOT EXISTS characters UInt64 CODEC(T64, ZSTD),
    ADD COLUMN IF NOT EXISTS searches UInt64 CODEC(T64, ZSTD)
