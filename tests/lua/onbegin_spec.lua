-- `onbegin`, through which a host learns whose a callback is.
local clock = require("support.clock")
local peer = require("support.peer")
local raises = require("support.raises")
local recorder = require("support.recorder")
local websocket = require("websocket")

describe("onbegin", function()
  local plain = websocket.onbegin
  local server, current

  setup(function()
    server = peer.start("python")
  end)

  teardown(function()
    server:stop()
  end)

  after_each(function()
    websocket.onbegin = plain
    current = nil
  end)

  -- A host whose callbacks run as the instance that ran when they were given.
  local function host_instances()
    local begun = {}
    function websocket.onbegin(callback, object, ending, params)
      local own = current
      begun[#begun + 1] = { object = object, ending = ending, params = params, instance = own }
      return function(...)
        local before = current
        current = own
        callback(...)
        current = before
      end
    end
    return begun
  end

  it("is called with the connection and what its params are read into", function()
    local begun = host_instances()
    local params = { headers = "X-Game: chess", self = {}, linger = true }
    local events = recorder.new()
    local connection = websocket.connect(server:url(), params, events.callback)
    assert.equal(1, #begun)
    assert.equal(connection, begun[1].object)
    assert.equal("disconnect", begun[1].ending)
    assert.same({ headers = "X-Game: chess" }, begun[1].params)
    assert.not_equal(params, begun[1].params)
    begun[1].object[begun[1].ending](begun[1].object)
    events:wait("DISCONNECTED")
    assert.equal(params.self, events:find("DISCONNECTED").owner)
  end)

  it("may change the params, and the script's stay as they are", function()
    function websocket.onbegin(callback, _, _, params)
      params.headers = { ["X-Host"] = "engine" }
      return callback
    end
    local params = {}
    local events = recorder.new()
    local connection = websocket.connect(server:url("/headers"), params, events.callback)
    assert.truthy(events:wait("MESSAGE").message:find("X-Host: engine", 1, true))
    assert.same({}, params)
    connection:disconnect()
    events:wait("DISCONNECTED")
  end)

  it("keeps the instance for what begins in a callback of ours", function()
    local begun = host_instances()
    local instance, seen = {}, {}
    local function note(what)
      seen[#seen + 1] = what
      assert.equal(instance, current)
    end
    current = instance
    local listener = websocket.listen({ port = 0 }, function(_, connection, data)
      if data.event == websocket.EVENT_MESSAGE then
        note("listener")
        connection:send(data.message)
      end
    end)
    local socket
    coroutine.wrap(function()
      local connection = assert(websocket.open(listener.url))
      note("open")
      connection:send("hello")
      assert.equal("hello", (connection:receive()))
      note("receive")
      assert.equal("timeout", select(2, connection:receive(1)))
      note("timeout")
      connection:disconnect()
      local url = server:url("/close?code=1011")
      socket = websocket.ReconnectingWebSocket(url, nil, { minDelay = 1, maxDelay = 1 })
      local opened = 0
      socket.onopen = function()
        note("retry")
        opened = opened + 1
        if opened == 2 then
          socket:close()
        end
      end
    end)()
    current = nil
    clock.drive(function()
      return socket and socket.readyState == websocket.WebSocket.ReadyState.CLOSED
    end, recorder.step)
    listener:close()
    assert.same({ "open", "listener", "receive", "timeout", "retry", "retry" }, seen)
    local endings = {}
    for _, what in ipairs(begun) do
      assert.equal(instance, what.instance)
      endings[what.ending] = true
    end
    assert.same({ close = true, disconnect = true, cancel = true }, endings)
    assert.is_nil(current)
  end)

  it("refuses with a text that is raised at the caller's line, and nothing begins", function()
    function websocket.onbegin()
      return nil, "no script instance"
    end
    local function never() end
    for _, call in ipairs({
      function()
        websocket.connect(server:url(), nil, never)
      end,
      function()
        websocket.listen(nil, never)
      end,
      function()
        websocket.open(server:url())
      end,
    }) do
      local message = raises("no script instance", call)
      assert.truthy(message:find("onbegin_spec.lua:%d+: no script instance"), message)
    end
    assert.equal(0, websocket.wait())
  end)
end)
