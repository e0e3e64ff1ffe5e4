-- wrk script: asks for the newest 50 entries of one kind or another.
-- Prints one line: rate, p50 and p99 in ms, answers that are not 2xx.
local QUERIES = { "search=timeout", "container=shop_service_6", "level=WARNING", "search=quokka" }

function init(args)
    wrk.headers["X-API-Key"] = os.getenv("KEY")
    requests = {}
    for number, query in ipairs(QUERIES) do requests[number] = wrk.format("GET", "/api/logs?limit=50&" .. query) end
    counter = 0
end

function request()
    counter = counter + 1
    return requests[counter % #requests + 1]
end

function done(summary, latency, requests)
    local errors = summary.errors
    local failed = errors.status + errors.connect + errors.read + errors.write + errors.timeout
    io.write(string.format("RESULT %.0f %.3f %.3f %d\n",
        summary.requests / (summary.duration / 1e6), latency:percentile(50) / 1000, latency:percentile(99) / 1000, failed))
end
