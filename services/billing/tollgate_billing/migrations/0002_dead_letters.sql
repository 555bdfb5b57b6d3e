-- Messages that a consumer could not handle, copied from the dead-letter topics, which forget them after 30 days.
--
-- A message is known by its source, `topic:partition:offset` of where it came from: each consumer that gave it up has a
-- letter of its own. The stamp tells which gap in the sequence numbers the letter explains; it is NULL where the message
-- has none. A letter without a readable source stands under its own place, and cannot be retried.
CREATE TABLE dead_letters (
    topic text NOT NULL,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    source text NOT NULL,
    source_topic text,
    source_partition integer,
    source_offset bigint,
    consumer text NOT NULL,
    reason text NOT NULL,
    key bytea,
    value bytea,
    sent_at timestamptz NOT NULL,
    boot_id text,
    seq bigint,
    request_id text,
    account_id text,
    PRIMARY KEY (topic, partition, "offset")
);

CREATE INDEX dead_letters_by_source ON dead_letters (source);

-- What operators decided, and why: for ever, and never edited. The newest decision of a source holds.
CREATE TABLE dead_letter_decisions (
    decision_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source text NOT NULL,
    decision text NOT NULL CHECK (decision IN ('retried', 'discarded')),
    reason text NOT NULL,
    decided_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX dead_letter_decisions_by_source ON dead_letter_decisions (source, decision_id);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON dead_letter_decisions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_edit();

-- Each message that was given up, once, with its state.
CREATE VIEW dead_letter_sources AS
SELECT
    l.source,
    min(l.source_topic) AS source_topic,
    min(l.source_partition) AS source_partition,
    min(l.source_offset) AS source_offset,
    min(l.boot_id) AS boot_id,
    min(l.seq) AS seq,
    min(l.request_id) AS request_id,
    min(l.account_id) AS account_id,
    min(l.sent_at) AS first_sent_at,
    coalesce(min(d.decision), 'open') AS state,
    min(d.reason) AS decision_reason,
    min(d.decided_at) AS decided_at
FROM dead_letters AS l
LEFT JOIN LATERAL (
    SELECT decision, reason, decided_at FROM dead_letter_decisions
    WHERE source = l.source
    ORDER BY decision_id DESC
    LIMIT 1
) AS d ON true
GROUP BY l.source;
