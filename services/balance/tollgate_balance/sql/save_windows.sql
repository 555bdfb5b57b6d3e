-- Save windows under the locks of their accounts. A noted shortage stays until it ends.
UPDATE allotments
SET spent_nano = changed.spent_nano, held_nano = changed.held_nano
FROM unnest(%(window_ids)b::bigint[], %(spent)b::bigint[], %(held)b::bigint[])
    AS changed (allotment_id, spent_nano, held_nano)
WHERE allotments.allotment_id = changed.allotment_id
