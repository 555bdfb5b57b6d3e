-- A page of an account's closed requests within a range, newest first, from below a cursor (time, id). The order is the
-- table's own, reversed, so the engine reads little more than the page, however long the list is. Filters are bound as
-- in `usage.sql`, except status classes, which are compared as numbers: planning a comparison of texts costs more than
-- reading a part.
SELECT
    at, request_id, key_id, project_id, model, served_model, provider, endpoint, stream, client, end_user, opened_at,
    status, outcome, error_code, finish_reason, latency_ms, first_token_ms, attempts, target
FROM request_events
WHERE account_id = {account_id:String}
    AND ({only_key:String} = '' OR key_id = {only_key:String})
    AND ({only_project:String} = '' OR project_id = {only_project:String})
    AND kind = 'closed'
    -- if start_ms
    AND at >= fromUnixTimestamp64Milli({start_ms:Int64}, 'UTC')
    -- end
    -- if end_ms
    AND at < fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC')
    -- end
    -- if before_ms
    AND at <= fromUnixTimestamp64Milli({before_ms:Int64}, 'UTC')
    AND (at < fromUnixTimestamp64Milli({before_ms:Int64}, 'UTC') OR request_id < {before_id:String})
    -- end
    -- if classes
    AND has({classes:Array(UInt32)}, intDiv(status, 100))
    -- end
    AND has({values_1:Array(String)}, toString({filter_1:Identifier}))
    AND has({values_2:Array(String)}, toString({filter_2:Identifier}))
    AND has({values_3:Array(String)}, toString({filter_3:Identifier}))
    AND has({values_4:Array(String)}, toString({filter_4:Identifier}))
    AND has({values_5:Array(String)}, toString({filter_5:Identifier}))
    AND has({values_6:Array(String)}, toString({filter_6:Identifier}))
ORDER BY account_id DESC, kind DESC, at DESC, request_id DESC
LIMIT {limit:UInt32}
