-- The refusal of who finds the queue full. It takes the whole request in first: a connection that is closed while the edge
-- still sends a long prompt would be an error there, a 503, and not the 429 that says when to come back.
core.register_service("refuse", "http", function(applet)
    repeat
        local piece = applet:receive(65536)
    until piece == nil or #piece == 0
    local body = '{"error":{"message":"queue full","type":"rate_limit_error","code":429}}'
    applet:set_status(429)
    applet:add_header("Content-Type", "application/json")
    applet:add_header("Retry-After", applet:get_var("txn.retry_after"))
    applet:add_header("Content-Length", tostring(#body))
    applet:start_response()
    applet:send(body)
end)
