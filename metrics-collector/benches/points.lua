-- wrk script: posts batches of 100 points, of which half are histograms. SERIES says over how many series they spread.
dofile(os.getenv("RESULT_SCRIPT"))

local series = tonumber(os.getenv("SERIES") or "2000")
local thread_count = 0
-- Made before the load: making text costs more than storing it.
local BODIES = 200

function setup(thread)
    thread_count = thread_count + 1
    thread:set("number", thread_count)
end

function init(args)
    wrk.method = "POST"
    wrk.headers["X-API-Key"] = os.getenv("KEY")
    wrk.headers["Content-Type"] = "application/json"
    math.randomseed(number)
    requests = {}
    for body = 1, BODIES do
        local items = {}
        for item = 1, 100 do
            local one = math.random(series)
            local kind, value = "counter", "1"
            if one % 2 == 0 then kind, value = "histogram", string.format("%.4f", math.exp(math.random() * 6) / 1000) end
            items[item] = string.format(
                '{"name":"http_%s_%d","type":"%s","value":%s,"labels":{"method":"GET","endpoint":"/api/orders/%d","status":"200"}}',
                kind, one % 20, kind, value, one)
        end
        requests[body] = wrk.format(nil, "/api/metrics", nil, "[" .. table.concat(items, ",") .. "]")
    end
    counter = 0
end

function request()
    counter = counter + 1
    return requests[counter % BODIES + 1]
end
