local clock = require("support.clock")
local leaks = require("support.leaks")
local peer = require("support.peer")
local recorder = require("support.recorder")
local websocket = require("websocket")

describe("events", function()
  local server

  setup(function()
    server = peer.start("python")
  end)

  teardown(function()
    server:stop()
  end)

  local function disconnect(connection)
    connection:disconnect()
  end

  local function send_all(messages)
    return function(connection)
      for _, message in ipairs(messages) do
        connection:send(message)
      end
    end
  end

  local function at_last(total)
    local received = 0
    return function(connection)
      received = received + 1
      if received == total then
        connection:disconnect()
      end
    end
  end

  it("have the constants that Defold's have", function()
    assert.equal(0, websocket.EVENT_CONNECTED)
    assert.equal(1, websocket.EVENT_DISCONNECTED)
    assert.equal(2, websocket.EVENT_MESSAGE)
    assert.equal(3, websocket.EVENT_ERROR)
    assert.equal(1, websocket.DATA_TYPE_TEXT)
    assert.equal(2, websocket.DATA_TYPE_BINARY)
  end)

  it("come in order: CONNECTED, every MESSAGE, one DISCONNECTED", function()
    local events = recorder.new({
      CONNECTED = send_all({ "1", "2", "3" }),
      MESSAGE = at_last(3),
    })
    websocket.connect(server:url("/echo"), nil, events.callback)
    events:wait("DISCONNECTED")
    assert.same({ "CONNECTED", "MESSAGE", "MESSAGE", "MESSAGE", "DISCONNECTED" }, events:names())
    assert.same({ "1", "2", "3" }, events:messages())
  end)

  it("have the fields of their kind", function()
    local events = recorder.new({
      CONNECTED = function(connection)
        connection:send("text", { type = websocket.DATA_TYPE_TEXT })
        connection:send("\255\0", { type = websocket.DATA_TYPE_BINARY })
      end,
      MESSAGE = at_last(2),
    })
    websocket.connect(server:url("/echo"), nil, events.callback)
    local closing = events:wait("DISCONNECTED")
    local text, binary = events.events[2], events.events[3]
    assert.same({ "text", websocket.DATA_TYPE_TEXT }, { text.message, text.type })
    assert.same({ "\255\0", websocket.DATA_TYPE_BINARY }, { binary.message, binary.type })
    assert.same({ 1000, "", true, "" }, {
      closing.code,
      closing.reason,
      closing.clean,
      closing.message,
    })
    for _, data in ipairs(events.events) do
      assert.equal(data.name ~= "MESSAGE", data.type == nil)
      assert.equal(data.name ~= "DISCONNECTED", data.code == nil)
      assert.equal(data.name ~= "CONNECTED", data.handshake_response == nil)
    end
  end)

  it("are fresh tables, each", function()
    local events = recorder.new({ CONNECTED = send_all({ "a", "a" }), MESSAGE = at_last(2) })
    websocket.connect(server:url("/echo"), nil, events.callback)
    events:wait("DISCONNECTED")
    assert.not_equal(events.events[2], events.events[3])
  end)

  it("hand over the same connection each time, which equals the returned one", function()
    local seen = {}
    local function note(connection)
      seen[connection] = (seen[connection] or 0) + 1
    end
    local events = recorder.new({ CONNECTED = note, DISCONNECTED = note })
    local connection = websocket.connect(server:url("/close"), nil, events.callback)
    events:wait("DISCONNECTED")
    assert.same({ [connection] = 2 }, seen)
    assert.is_truthy(tostring(connection):find("websocket"), tostring(connection))
  end)

  it("of two connections are told apart by tostring and ==", function()
    local events, others = recorder.new(), recorder.new()
    local connection = websocket.connect(server:url("/close"), nil, events.callback)
    local other = websocket.connect(server:url("/close"), nil, others.callback)
    assert.not_equal(connection, other)
    assert.not_equal(tostring(connection), tostring(other))
    events:wait("DISCONNECTED")
    others:wait("DISCONNECTED")
  end)

  it("come although the script does not hold the connection", function()
    local events = recorder.new({
      CONNECTED = function(connection)
        collectgarbage()
        connection:send("still here")
      end,
      MESSAGE = at_last(1),
    })
    websocket.connect(server:url("/echo"), nil, events.callback)
    collectgarbage()
    collectgarbage()
    events:wait("DISCONNECTED")
    assert.same({ "still here" }, events:messages())
  end)

  it("let go of a callback that closes over its own connection", function()
    local events = recorder.new()
    local connection
    connection = websocket.connect(server:url("/close"), nil, function(...)
      leaks.watch(connection)
      events.callback(...)
    end)
    events:wait("DISCONNECTED")
  end)

  it("that arrived before the end are delivered before it", function()
    local events = recorder.new()
    local connection =
      websocket.connect(server:url("/flood?count=100&size=10"), nil, events.callback)
    events:wait("MESSAGE", 100)
    connection:disconnect()
    events:wait("DISCONNECTED")
    assert.equal(100, events:count("MESSAGE"))
    assert.equal("DISCONNECTED", events.events[#events.events].name)
  end)

  it(
    "still come as messages after disconnect, until the end, where `linger` asks for it",
    function()
      local late = peer.raw("late")
      local events = recorder.new({ CONNECTED = disconnect })
      websocket.connect(late:url(), { linger = true }, events.callback)
      local closing = events:wait("DISCONNECTED")
      assert.same({ "1", "2", "3" }, events:messages())
      assert.same({ 1000, true }, { closing.code, closing.clean })
      late:stop()
    end
  )

  it("are DISCONNECTED alone when disconnect came before CONNECTED", function()
    for _, path in ipairs({ "/observe", "/flood?count=5&size=10" }) do
      local events = recorder.new()
      local connection = websocket.connect(server:url(path), nil, events.callback)
      if path == "/observe" then
        -- The server has the connection; CONNECTED waits for update, or is about to.
        assert.equal("open", server:line())
      end
      connection:disconnect()
      events:wait("DISCONNECTED")
      assert.same({ "DISCONNECTED" }, events:names())
      if path == "/observe" then
        server:line()
      end
    end
  end)

  it("give ERROR, then DISCONNECTED 1006, when the connection drops", function()
    local events = recorder.new({ CONNECTED = send_all({ "drop it" }) })
    websocket.connect(server:url("/drop"), nil, events.callback)
    local closing = events:wait("DISCONNECTED")
    assert.same({ "CONNECTED", "ERROR", "DISCONNECTED" }, events:names())
    assert.equal(1006, closing.code)
    assert.is_false(closing.clean)
    local failure = events:find("ERROR")
    assert.equal("open", failure.stage)
    assert.equal(websocket.ERROR_REMOTE_HOST_CLOSED, failure.error)
  end)

  describe("whose callback raises", function()
    local function failing(url, name, failure)
      local events
      events = recorder.new({
        [name] = function()
          events.react[name] = nil
          error(failure, type(failure) == "string" and 1 or 0)
        end,
      })
      local connection = websocket.connect(url, nil, events.callback)
      return events, connection
    end

    local function first_error(limit)
      local message
      clock.drive(function()
        return message ~= nil
      end, function()
        local ok, failure = pcall(websocket.wait, 50)
        if not ok then
          message = failure
        end
      end, "an error out of update", limit)
      return message
    end

    it("raise out of update, with a traceback that names the line", function()
      local events, connection = failing(server:url(), "CONNECTED", "on purpose")
      local message = first_error()
      assert.is_string(message)
      assert.is_truthy(message:find("on purpose", 1, true), message)
      local raised, traced = message:match("events_spec.lua:(%d+): on purpose(.*)")
      assert.is_truthy(traced:find("stack traceback", 1, true), message)
      assert.is_truthy(traced:find("events_spec.lua:" .. raised, 1, true), message)
      connection:disconnect()
      events:wait("DISCONNECTED")
    end)

    it("pass other values than strings through", function()
      for _, value in ipairs({ { "table" }, 42, false }) do
        local events, connection = failing(server:url(), "CONNECTED", value)
        assert.equal(value, first_error())
        connection:disconnect()
        events:wait("DISCONNECTED")
      end
    end)

    it("lose none of the events after it", function()
      local url = server:url("/flood?count=100&size=10")
      local events, connection = failing(url, "MESSAGE", "once")
      first_error()
      assert.equal(1, events:count("MESSAGE"))
      events:wait("MESSAGE", 100)
      connection:disconnect()
      events:wait("DISCONNECTED")
      assert.equal(100, events:count("MESSAGE"))
    end)
  end)

  describe("allow inside a callback:", function()
    it("update, which does nothing and returns 0", function()
      local counts = {}
      local events = recorder.new({
        MESSAGE = function()
          counts[#counts + 1] = websocket.update()
          counts[#counts + 1] = websocket.wait(0)
        end,
      })
      local connection =
        websocket.connect(server:url("/flood?count=3&size=10"), nil, events.callback)
      events:wait("MESSAGE", 3)
      assert.same({ 0, 0, 0, 0, 0, 0 }, counts)
      assert.same(3, #events:messages())
      connection:disconnect()
      events:wait("DISCONNECTED")
    end)

    it("connect", function()
      local second = recorder.new({ CONNECTED = disconnect })
      local first = recorder.new({
        CONNECTED = function()
          websocket.connect(server:url(), nil, second.callback)
        end,
        DISCONNECTED = function() end,
      })
      local connection = websocket.connect(server:url(), nil, first.callback)
      second:wait("DISCONNECTED")
      connection:disconnect()
      first:wait("DISCONNECTED")
    end)

    it("connect again from DISCONNECTED", function()
      local events
      local attempts = 0
      local function again()
        attempts = attempts + 1
        if attempts < 3 then
          websocket.connect(server:url("/close"), nil, events.callback)
        end
      end
      events = recorder.new({ DISCONNECTED = again })
      websocket.connect(server:url("/close"), nil, events.callback)
      events:wait("DISCONNECTED", 3)
      assert.equal(3, events:count("CONNECTED"))
    end)

    it("send and disconnect on another connection", function()
      local first, second
      local seconds = recorder.new({
        CONNECTED = function()
          first:send("from afar")
        end,
      })
      local firsts = recorder.new({
        CONNECTED = function()
          second = websocket.connect(server:url("/echo"), nil, seconds.callback)
        end,
        MESSAGE = function(connection)
          second:disconnect()
          connection:disconnect()
        end,
      })
      first = websocket.connect(server:url("/echo"), nil, firsts.callback)
      firsts:wait("DISCONNECTED")
      seconds:wait("DISCONNECTED")
      assert.same({ "from afar" }, firsts:messages())
    end)
  end)

  describe("are counted by", function()
    it("update, which returns 0 when there are none", function()
      assert.equal(0, websocket.update())
    end)

    it("update, at most for its budget", function()
      local url = server:url("/flood?count=50&size=10")
      local events = recorder.new({
        MESSAGE = function()
          local busy_until = clock.now() + 0.002
          repeat
          until clock.now() >= busy_until
        end,
      })
      local connection = websocket.connect(url, nil, events.callback)
      local counted = 0
      clock.drive(function()
        return counted == 51
      end, function()
        local count = websocket.update(5)
        assert.is_true(count <= 4, count)
        counted = counted + count
      end)
      assert.equal(50, events:count("MESSAGE"))
      connection:disconnect()
      events:wait("DISCONNECTED")
    end)

    it("wait, which sleeps for its timeout and returns 0", function()
      local count
      local took = clock.milliseconds(function()
        count = websocket.wait(100)
      end)
      assert.equal(0, count)
      assert.is_true(took >= 99 and took < 10000, took)
    end)

    it("wait, which returns as soon as there is one", function()
      local events = recorder.new()
      local connection = websocket.connect(server:url(), nil, events.callback)
      local count
      local took = clock.milliseconds(function()
        count = websocket.wait(15000)
      end)
      assert.equal(1, count)
      assert.is_true(took < 10000, took)
      connection:disconnect()
      events:wait("DISCONNECTED")
    end)
  end)

  it("are waited for as long as one will come, and not at all for less than nothing", function()
    assert.equal(0, websocket.wait(math.huge))
    local events = recorder.new()
    local connection = websocket.connect(server:url(), nil, events.callback)
    local count
    local took = clock.milliseconds(function()
      count = websocket.wait(-math.huge)
    end)
    assert.is_true(took < 10000, took)
    if count == 0 then
      count = websocket.wait(math.huge)
    end
    assert.equal(1, count)
    connection:disconnect()
    events:wait("DISCONNECTED")
  end)

  it("run until no connection is left", function()
    local events = recorder.new({ CONNECTED = send_all({ "a", "b" }), MESSAGE = at_last(2) })
    websocket.connect(server:url("/echo"), nil, events.callback)
    websocket.run()
    assert.same({ "a", "b" }, events:messages())
    assert.equal(1, events:count("DISCONNECTED"))
  end)

  it("run returns at once when there is nothing to wait for", function()
    assert.is_true(clock.milliseconds(websocket.run) < 100)
  end)

  describe("", function()
    -- The first call makes a clock beside the descriptor, for timers; both are the state's.
    setup(websocket.fd)

    it("are announced by one descriptor", function()
      local fd = websocket.fd()
      assert.is_number(fd)
      assert.equal(fd, websocket.fd())
      assert.equal(0, fd % 1)
    end)
  end)

  it("cost no CPU while 100 connections are idle for 10 s #long", function()
    local process = require("support.process")
    local all, connections = {}, {}
    for number = 1, 100 do
      all[number] = recorder.new()
      connections[number] = websocket.connect(server:url("/echo"), nil, all[number].callback)
    end
    for _, events in ipairs(all) do
      events:wait("CONNECTED")
    end
    local before = process.cpu_ms()
    assert.equal(0, websocket.wait(10000))
    local spent = process.cpu_ms() - before
    assert.is_true(spent < 50, spent)
    for number, connection in ipairs(connections) do
      connection:disconnect()
      all[number]:wait("DISCONNECTED")
    end
  end)
end)
