-- The usage and cost of a page's requests. A separate statement, because usage and closes come from different topics.
-- Both events of a request have the same time; the bounds on it avoid a scan of all usage of the account.
SELECT
    request_id,
    sumForEach(measures)
FROM request_events
WHERE account_id = {account_id:String}
    AND ({only_key:String} = '' OR key_id = {only_key:String})
    AND ({only_project:String} = '' OR project_id = {only_project:String})
    AND kind = 'used'
    AND at >= fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC') - INTERVAL 1 MINUTE
    AND at <= fromUnixTimestamp64Milli({to_ms:Int64}, 'UTC') + INTERVAL 1 MINUTE
    AND request_id IN {request_ids:Array(String)}
GROUP BY request_id
