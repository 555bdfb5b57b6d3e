-- A script for wrk: repeats one request and prints the result as one line of JSON. Arguments: a file with the body, the
-- pause of a connection before each request in ms, then headers as names and values.
function init(arguments)
  local file = assert(io.open(arguments[1], "rb"))
  wrk.method = "POST"
  wrk.body = file:read("*a")
  file:close()
  pause_ms = tonumber(arguments[2])
  for at = 3, #arguments, 2 do
    wrk.headers[arguments[at]] = arguments[at + 1]
  end
  wrk.headers["Content-Type"] = "application/json"
  if pause_ms > 0 then
    -- By chance around the pause, so that the connections do not march in step.
    delay = function() return math.random(0, 2 * pause_ms) end
  end
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\nRESULT {"requests": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d, "failed": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
