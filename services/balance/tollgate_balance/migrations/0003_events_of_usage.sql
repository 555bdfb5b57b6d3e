-- Each posting of usage names its event by partition and offset of usage.v1, so that the ledger can be compared with the
-- charges and the reports range by range, and a difference named. The index serves that, and being unique it is one more
-- wall: no event can be posted twice, whatever goes wrong before. Postings from before this migration name none.
ALTER TABLE postings
    ADD COLUMN event_partition integer,
    ADD COLUMN event_offset bigint,
    ADD CONSTRAINT usage_names_its_event CHECK (
        (kind = 'usage') = (event_offset IS NOT NULL) AND (event_offset IS NULL) = (event_partition IS NULL)
    ) NOT VALID;

CREATE UNIQUE INDEX postings_by_event ON postings (event_partition, event_offset) INCLUDE (amount_nano)
    WHERE event_offset IS NOT NULL;

-- Write-offs are few; the auditor lists the newest.
CREATE INDEX write_offs ON postings (posted_at) WHERE kind = 'write_off';
