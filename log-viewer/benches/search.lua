-- wrk script: asks for the newest 50 entries of one kind or another.
dofile(os.getenv("RESULT_SCRIPT"))

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
