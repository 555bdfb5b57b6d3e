-- The catalogue: what a token costs, since when, and since when we know.
--
-- A version is never edited: what was charged once must be explainable for ever, and every event names the version that
-- it was rated with. `valid_from` is when it applies, `recorded_at` when it was learnt. There is no valid_to: a version
-- ends where the next one of its model begins, so that two can never overlap and none leaves a hole.
CREATE TABLE models (
    model text PRIMARY KEY CHECK (model ~ '^[A-Za-z0-9][A-Za-z0-9._:/-]*$'),
    provider text NOT NULL CHECK (provider ~ '^[a-z0-9][a-z0-9_-]*$'),
    context_tokens bigint CHECK (context_tokens > 0),
    -- Of the model's record in catalogue.v1; its update is also the lock that orders the versions of a model.
    record_version bigint NOT NULL DEFAULT 0
);

-- Prices are nano-units per million tokens of a class; NULL costs what the parent class costs. `request_nano` is
-- nano-units per request.
--
-- The id is `<model>@<day of valid_from>.<number>`: it stands on every charge and invoice, where a person reads it, and a
-- UUID would tell that person nothing. Numbers are given under the lock of the model's row, so it is unique.
CREATE TABLE price_versions (
    price_version text PRIMARY KEY,
    model text NOT NULL REFERENCES models,
    valid_from timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    source text NOT NULL,
    input bigint NOT NULL CHECK (input >= 0),
    output bigint NOT NULL CHECK (output >= 0),
    cached_input bigint CHECK (cached_input >= 0),
    cache_write bigint CHECK (cache_write >= 0),
    audio_input bigint CHECK (audio_input >= 0),
    image_input bigint CHECK (image_input >= 0),
    reasoning bigint CHECK (reasoning >= 0),
    audio_output bigint CHECK (audio_output >= 0),
    request_nano bigint NOT NULL DEFAULT 0 CHECK (request_nano >= 0),
    UNIQUE (model, valid_from)
);

CREATE TABLE plans (
    plan text PRIMARY KEY CHECK (plan ~ '^[a-z0-9][a-z0-9_-]*$'),
    record_version bigint NOT NULL DEFAULT 0
);

-- A plan multiplies every price by basis points: 10000 leaves them as they are.
CREATE TABLE plan_versions (
    plan_version text PRIMARY KEY,
    plan text NOT NULL REFERENCES plans,
    valid_from timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    multiplier_bps integer NOT NULL CHECK (multiplier_bps >= 0),
    UNIQUE (plan, valid_from)
);

CREATE FUNCTION refuse_edit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: add a version instead of %', TG_TABLE_NAME, lower(TG_OP)
        USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON price_versions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_edit();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON plan_versions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_edit();
