-- A correction is a version, too: of the same model, valid from the same moment as the one that it corrects or from any
-- moment in the past, and recorded later. Both stay, so that what was believed at any time can be told. Of two versions that
-- are valid from one moment the one recorded last holds; without being said to be corrections, two cannot be.
ALTER TABLE price_versions DROP CONSTRAINT price_versions_model_valid_from_key;
ALTER TABLE price_versions ADD COLUMN is_correction boolean NOT NULL DEFAULT false;
CREATE UNIQUE INDEX price_versions_valid_from ON price_versions (model, valid_from) WHERE NOT is_correction;
CREATE INDEX price_versions_by_model ON price_versions (model, valid_from, recorded_at);

ALTER TABLE plan_versions DROP CONSTRAINT plan_versions_plan_valid_from_key;
ALTER TABLE plan_versions ADD COLUMN is_correction boolean NOT NULL DEFAULT false;
CREATE UNIQUE INDEX plan_versions_valid_from ON plan_versions (plan, valid_from) WHERE NOT is_correction;

-- From then on the plan sells nothing; no version of it is changed.
ALTER TABLE plans ADD COLUMN retired_at timestamptz;

-- Why nobody may call the model now; NULL is that everybody may. What was decided, and why, stays in quarantine_decisions.
ALTER TABLE models ADD COLUMN quarantined text;

CREATE TABLE quarantine_decisions (
    decision_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model text NOT NULL REFERENCES models,
    decision text NOT NULL CHECK (decision IN ('quarantined', 'lifted')),
    reason text NOT NULL,
    -- The dead letter that it was for, as topic:partition:offset; NULL where a person decided.
    source text,
    decided_at timestamptz NOT NULL DEFAULT now()
);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON quarantine_decisions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_edit();
