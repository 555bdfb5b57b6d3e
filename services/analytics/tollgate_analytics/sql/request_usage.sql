-- What the requests of a page used and cost. Their own statement, because usage comes on another topic than the close.
-- Both events of a request carry the same time, which is what keeps this from reading all that the account ever used.
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
