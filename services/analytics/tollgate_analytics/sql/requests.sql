-- A page of an account's closed requests, the newest first, from below a cursor (time, id). The order is the table's own,
-- backwards, so that the engine reads the page and little more, however long the list is.
SELECT
    at, request_id, key_id, model, served_model, provider, endpoint, stream, opened_at,
    status, outcome, error_code, finish_reason, latency_ms, first_token_ms
FROM request_events
WHERE account_id = {account_id:String}
    AND kind = 'closed'
    AND at <= fromUnixTimestamp64Milli({before_ms:Int64}, 'UTC')
    AND (at < fromUnixTimestamp64Milli({before_ms:Int64}, 'UTC') OR request_id < {before_id:String})
ORDER BY account_id DESC, kind DESC, at DESC, request_id DESC
LIMIT {limit:UInt32}
