-- Rows as of three months of traffic. A request has three rows. One account has 30% of all requests, three more have 28%,
-- and 5,000 accounts share the rest. The rows are in order of time, as the sink writes them. The engine generates them
-- from numbers, so no data is sent. The table must not have its constraint `fresh`, because these rows are late.
INSERT INTO request_events (topic, partition, offset, boot_id, seq, block_month, insert_by, kind, at, account_id, project_id, key_id, model,
 served_model, provider, endpoint, stream, end_user, client, request_id, outcome, finish_reason, opened_at, status, error_code, latency_ms,
 first_token_ms, attempts, target, input_tokens, cached_input_tokens, output_tokens, reasoning_tokens, amount_nano, provider_cost_nano, estimated, price_version, plan_version)
WITH
 intDiv(number,3) AS n, number % 3 AS k,
 cityHash64(n) AS h, cityHash64(n, 1) AS h1, cityHash64(n, 2) AS h2, cityHash64(n,3) AS h3,
 (h % 1000000) / 1000000. AS u,
 multiIf(u < 0.30, 0, u < 0.45, 1, u < 0.53, 2, u < 0.58, 3, 4 + toUInt32(pow((h1 % 1000000) / 1000000., 3) * 5000)) AS account,
 least(if(account < 4, 40, 3), 1 + toUInt32(40 * pow((h2 % 10007) / 10007., 2))) AS keyn,
 (cityHash64(account, keyn, h3 % 100 < 80 ? 0 : h3 % 4) % 8) AS m,
 (h1 % 1000) < 30 AS failed, (h3 % 1000) AS lr,
 toDateTime64('2026-08-26 00:00:00',3,'UTC') + toIntervalMillisecond(intDiv(n * 7776000000, {requests:UInt64})) AS opened,
 toUInt32(200 + pow(lr/1000.,4)*20000 + m * 150) AS lat,
 if(failed, opened + toIntervalMillisecond(40), opened + toIntervalMillisecond(lat)) AS ended
SELECT if(k = 1, 'tollgate.usage.v1', 'tollgate.requests.v1'), account % 12, number, concat('019dafc2-0000-7000-8000-00000000000', toString(account % 2)), number,
 toYYYYMM(ended), at + INTERVAL 2 MINUTE, CAST(multiIf(k = 0,'opened', k=1, if(failed,'void','used'), 'closed') AS Enum8('opened' = 1, 'closed' = 2, 'used' = 3, 'heartbeat' = 4, 'lease_closed' = 5, 'void' = 6)), if(k = 0, opened, ended) AS at,
 concat('acc-', leftPad(toString(account), 6, '0')), concat('prj-', toString(account), '-', toString(keyn % 3)), concat('key-', toString(account), '-', toString(keyn)),
 concat('model-', toString(m)), if(k = 0, '', concat('model-', toString(m), '-2026')), if(k=0,'',concat('provider-', toString(m % 3))), if(m = 7, '/v1/embeddings', '/v1/chat/completions'),
 m != 7 AND keyn % 2 = 0, if(keyn % 4 = 0, concat('user-', toString(h2 % 2000)), ''), ['openai-python/3.54.0','openai-node/6.1.0','curl/8.5.0'][1 + keyn % 3],
 concat('019d', lower(hex(h)), lower(hex(h1))), if(k = 0 OR (k = 1 AND failed), '', if(failed,'refused','completed')), if(failed OR k = 0, '', ['stop','length','tool_calls'][1 + if(h2 % 10 < 8, 0, h2 % 3)]),
 opened, if(k=0 OR (k=1 AND failed), 0, if(failed, [429,400,502][1 + h2 % 3], 200)), if(failed AND k = 2, ['rate_limit_exceeded','invalid_request','provider_error'][1 + h2 % 3], ''), if(k = 2, if(failed, 40, lat), 0), if(k = 2 AND NOT failed, toNullable(toUInt32(lat / 3)), NULL), 1,
 if(k = 2, concat('target-', toString(m % 3)), ''),
 if(k=1 AND NOT failed, 50 + h2 % 3000, 0), if(k=1 AND NOT failed, h3 % 500, 0), if(k=1 AND NOT failed, 10 + h1 % 700, 0), if(k=1 AND NOT failed AND m = 3, h2 % 300, 0),
 if(k=1 AND NOT failed, (50 + h2 % 3000) * 150 + (10 + h1 % 700) * 600, 0), if(k=1 AND NOT failed, (50 + h2 % 3000) * 100 + (10 + h1 % 700) * 400, 0), 0, 'p1', 'standard@1'
FROM numbers({first:UInt64} * 3, {count:UInt64} * 3)
