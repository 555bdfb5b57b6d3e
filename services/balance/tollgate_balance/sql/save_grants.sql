-- Save grants under the locks of their accounts. A grant expires once, at the time of the first transaction that marks
-- it.
UPDATE grants
SET remaining_nano = changed.remaining_nano, expired_nano = changed.expired_nano,
    expired_at = CASE WHEN changed.is_expired THEN coalesce(grants.expired_at, now()) END
FROM unnest(
    %(grant_ids)b::text[], %(remaining)b::bigint[], %(expired)b::bigint[], %(are_expired)b::boolean[]
) AS changed (grant_id, remaining_nano, expired_nano, is_expired)
WHERE grants.grant_id = changed.grant_id
