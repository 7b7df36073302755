-- Windows' polls watch no sockets of the Unix domain: who asks for one is told so.
local recorder = require("support.recorder")
local websocket = require("websocket")

local REASON = "Unix sockets are not supported on this system"

describe("a Unix socket on Windows", function()
  it("is not listened on", function()
    local server, message, code = websocket.listen({ unix = "/tmp/websocket" }, function() end)
    assert.is_nil(server)
    assert.is_truthy(message:find(REASON, 1, true), message)
    assert.equal(websocket.ERROR_UNSUPPORTED_SOCKET_OPERATION, code)
  end)

  it("fails a client", function()
    local events = recorder.new()
    websocket.connect("ws+unix:/tmp/websocket:/", nil, events.callback)
    local failed = events:wait("ERROR")
    assert.is_truthy(failed.message:find(REASON, 1, true), failed.message)
    assert.equal(websocket.ERROR_UNSUPPORTED_SOCKET_OPERATION, failed.error)
    assert.equal("connect", failed.stage)
    events:wait("DISCONNECTED")
  end)
end)
