-- What waits for a while: `receive` with a timeout, a connection that comes back.
local clock = require("support.clock")
local peer = require("support.peer")

local interpreter = arg[-1]

describe("what waits for a while", function()
  -- Runs a script in an interpreter of its own, with a port where nobody listens; returns its
  -- output.
  local function run(script)
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write(script)
    file:close()
    local arguments = ("%s %s %d"):format(interpreter, path, peer.closed_port())
    local output = peer.run(arguments, clock.rest)
    os.remove(path)
    return output
  end

  -- No file can be opened any more after this.
  local WITHOUT_DESCRIPTORS = [[
    local websocket = require("websocket")
    local held = {}
    local function use_up_descriptors()
      repeat
        local file = io.open("/dev/null")
        held[#held + 1] = file
      until not file
    end
  ]]

  it("waits as long as ever without descriptors: `receive`", function()
    local output = run(WITHOUT_DESCRIPTORS .. [[
      local server = websocket.listen({}, function() end)
      local connection = assert(websocket.open(server.url))
      use_up_descriptors()
      local began = websocket.now()
      local result
      coroutine.wrap(function()
        result = { connection:receive(300) }
      end)()
      while not result do
        websocket.wait(1000)
      end
      local took = websocket.now() - began
      print(tostring(result[1]), result[2], took >= 300 or took)
    ]])
    assert.equal("nil\ttimeout\ttrue\n", output)
  end)

  it("waits as long as ever without descriptors: a ReconnectingWebSocket", function()
    local output = run(WITHOUT_DESCRIPTORS .. [[
      use_up_descriptors()
      local attempts = 0
      local options = { minDelay = 100, factor = 1, jitter = false }
      local socket = websocket.ReconnectingWebSocket("ws://127.0.0.1:" .. arg[1], nil, options)
      socket.onerror = function(event)
        attempts = attempts + 1
        assert(event.code == websocket.ERROR_SOCKET_RESOURCE, event.message)
      end
      local began = websocket.now()
      while websocket.now() - began < 550 do
        websocket.wait(10)
      end
      print(attempts >= 2 and attempts <= 6 or attempts)
    ]])
    assert.equal("true\n", output)
  end)

  it("is waited for by `run`, and no longer than it is cancelled", function()
    local output = run([[
      local websocket = require("websocket")
      local began = websocket.now()
      local options = { minDelay = 300, factor = 1, jitter = false, maxRetries = 1 }
      local socket = websocket.ReconnectingWebSocket("ws://127.0.0.1:" .. arg[1], nil, options)
      local closes = 0
      socket.onclose = function()
        closes = closes + 1
      end
      websocket.run()
      print(closes, websocket.now() - began >= 300)

      began = websocket.now()
      options.minDelay, options.maxDelay = 1000000, 1000000
      socket = websocket.ReconnectingWebSocket("ws://127.0.0.1:" .. arg[1], nil, options)
      socket.onclose = function(event)
        if event.willReconnect then
          socket:close()
        end
      end
      websocket.run()
      print(websocket.now() - began < 20000)
    ]])
    assert.equal("2\ttrue\ntrue\n", output)
  end)
end)
