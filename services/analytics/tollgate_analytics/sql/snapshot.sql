-- The end offsets of an account's rows in a range, by kind. Only rows that a roll-up may still have to read count,
-- because no rows can appear before those. An account has one partition of each topic, and its rows are inserted in
-- order.
SELECT kind, max(offset) + 1
FROM request_events
WHERE account_id = {account_id:String}
    AND ({only_key:String} = '' OR key_id = {only_key:String})
    AND ({only_project:String} = '' OR project_id = {only_project:String})
    AND kind IN ('closed', 'used')
    AND at >= fromUnixTimestamp64Milli({start_ms:Int64}, 'UTC')
    AND at < fromUnixTimestamp64Milli({end_ms:Int64}, 'UTC')
    AND insert_by >= fromUnixTimestamp64Milli({rolled_up_ms:Int64}, 'UTC')
GROUP BY kind
