-- wrk script: posts reports of 2.9 KB. MODE=unique makes every one a new error, MODE=repeated sends the same one,
-- MODE=closing is unique with a new connection for each.
dofile(os.getenv("RESULT_SCRIPT"))

local mode = os.getenv("MODE") or "unique"
local thread_count = 0

function setup(thread)
    thread_count = thread_count + 1
    thread:set("number", thread_count)
end

function init(args)
    counter = 0
    run = os.time()
    local frames = {}
    for depth = 1, 26 do
        frames[depth] = string.format(
            '  File \\"/app/shop/package_%02d/module_%02d.py\\", line %d, in handle\\n    return self.next(request)\\n',
            depth, depth, depth * 7)
    end
    body_head = '{"project":"shop","exception_type":"ValueError","message":"order '
    body_middle = ' could not be paid","request_method":"POST","request_url":"https://shop.example/pay",'
        .. '"request_headers":{"user-agent":"bench","accept":"*/*"},"user_id":"42","extra":{"cart":[1,2,3]},'
        .. '"traceback":"Traceback (most recent call last):\\n' .. table.concat(frames)
        .. '  File \\"/app/shop/pay.py\\", line '
    body_tail = ', in pay\\n    raise ValueError(order)\\nValueError: order could not be paid"}'
    wrk.method = "POST"
    wrk.headers["X-API-Key"] = os.getenv("KEY")
    wrk.headers["Content-Type"] = "application/json"
    if mode == "closing" then wrk.headers["Connection"] = "close" end
end

function request()
    if mode ~= "repeated" then counter = counter + 1 end
    local line = string.format("%d%02d%07d", run % 100000, number, counter)
    return wrk.format(nil, "/api/errors", nil, body_head .. counter .. body_middle .. line .. body_tail)
end
