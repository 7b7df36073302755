-- Nothing turns where nothing comes. A poll of mio on Windows tells of room in a socket again after
-- every read that would block, so who reads on each event never sleeps.
local process = require("support.process")
local recorder = require("support.recorder")
local websocket = require("websocket")

describe("on Windows", function()
  it("connections that are idle cost no CPU, at both ends", function()
    local served = recorder.new()
    local server = assert(websocket.listen({}, served.callback))
    local all, connections = {}, {}
    for number = 1, 5 do
      all[number] = recorder.new()
      local params = { timeout = 20000 }
      connections[number] = websocket.connect(server.url, params, all[number].callback)
      all[number]:wait("CONNECTED")
    end
    served:wait("CONNECTED", 5)
    local before = process.cpu_ms()
    assert.equal(0, websocket.wait(5000))
    local spent = process.cpu_ms() - before
    for number, connection in ipairs(connections) do
      connection:disconnect()
      all[number]:wait("DISCONNECTED")
    end
    served:wait("DISCONNECTED", 5)
    server:close()
    assert.is_true(spent < 100, spent)
  end)
end)
