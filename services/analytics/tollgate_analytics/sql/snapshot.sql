-- Where an account's rows of a range end, by kind: of those only that a roll-up may have yet to read, since before it
-- nothing comes any more. An account has one partition of each topic, whose rows are inserted in their order.
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
