-- The answer that sends a completion to the hosted API. It takes the whole request in first: a connection that is closed
-- while the edge still sends would be an error there, and no answer.
core.register_service("nobody", "http", function(applet)
    repeat
        local piece = applet:receive(65536)
    until piece == nil or #piece == 0
    applet:set_status(503)
    applet:add_header("X-LLMOps-Nobody", "1")
    applet:add_header("Content-Length", "0")
    applet:start_response()
end)
