-- What the provider asks for a request, as the edge stamped it; NULL where the catalogue knows no cost. The margin is
-- computed where it is read, so it cannot differ from the two. `tier_above_tokens` says which tier's prices the lines have.
ALTER TABLE charges
    ADD COLUMN IF NOT EXISTS tier_above_tokens UInt64 CODEC(T64, ZSTD),
    ADD COLUMN IF NOT EXISTS provider_cost_nano Nullable(Int64) CODEC(ZSTD),
    ADD COLUMN IF NOT EXISTS margin_nano Nullable(Int64) ALIAS amount_nano - provider_cost_nano
