-- What a longer prompt costs, and what the provider asks of the operator.
--
-- `tiers` is a list of {above_tokens, prices}, `cost` is prices, both as events write them: sets of prices that are always
-- read whole, with the version, and never searched. The database itself refuses a negative number in them.
ALTER TABLE price_versions
    ADD COLUMN tiers jsonb NOT NULL DEFAULT '[]'
        CHECK (jsonb_typeof(tiers) = 'array' AND NOT jsonb_path_exists(tiers, '$.** ? (@.type() == "number" && @ < 0)')),
    ADD COLUMN cost jsonb
        CHECK (jsonb_typeof(cost) = 'object' AND NOT jsonb_path_exists(cost, '$.** ? (@.type() == "number" && @ < 0)'));
