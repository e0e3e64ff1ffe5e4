-- wrk script: posts errors of 2.2 KB. MODE=relay as a page does, MODE=tracker what the relay makes of them.
dofile(os.getenv("RESULT_SCRIPT"))

local is_relay = os.getenv("MODE") == "relay"
local thread_count = 0

function setup(thread)
    thread_count = thread_count + 1
    thread:set("number", thread_count)
end

function init(args)
    counter = 0
    local stack = {}
    for depth = 1, 30 do
        stack[depth] = string.format("    at handler%d (https://shop.example/static/app.min.js:1:%d)\\n", depth, depth * 977)
    end
    stack = table.concat(stack)
    wrk.method = "POST"
    wrk.headers["Content-Type"] = "application/json"
    if is_relay then
        path = "/api/browser/errors"
        wrk.headers["X-Monlight-Key"] = os.getenv("KEY")
        body_head = '{"type":"TypeError","message":"cannot pay order '
        body_tail = '","stack":"' .. stack .. '","url":"https://shop.example/pay?step=2","user_agent":"bench",'
            .. '"session_id":"0b9d6b0c-0000-4000-8000-000000000000","context":{"user_id":"42","cart":[1,2,3]}}'
    else
        path = "/api/errors"
        wrk.headers["X-API-Key"] = os.getenv("KEY")
        body_head = '{"project":"web","exception_type":"TypeError","message":"cannot pay order '
        body_tail = '","traceback":"' .. stack .. '","request_method":"BROWSER","request_url":"https://shop.example/pay?step=2",'
            .. '"extra":{"user_agent":"bench","session_id":"0b9d6b0c-0000-4000-8000-000000000000","context":{"user_id":"42"}}}'
    end
end

function request()
    counter = counter + 1
    return wrk.format(nil, path, nil, body_head .. number .. "-" .. counter .. body_tail)
end
