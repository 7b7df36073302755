local clock = require("support.clock")
local peer = require("support.peer")
local raises = require("support.raises")
local recorder = require("support.recorder")
local websocket = require("websocket")

describe("send", function()
  local server

  setup(function()
    server = peer.start("node")
  end)

  teardown(function()
    server:stop()
  end)

  local function open(params, path)
    local events = recorder.new()
    local connection = websocket.connect(server:url(path or "/echo"), params, events.callback)
    events:wait("CONNECTED")
    return connection, events
  end

  local function close(connection, events)
    connection:disconnect()
    events:wait("DISCONNECTED")
  end

  local function echo(...)
    local connection, events = open()
    assert.equal(0, select("#", websocket.send(connection, ...)))
    local data = events:wait("MESSAGE")
    close(connection, events)
    return data.message, data.type
  end

  it("is binary by default", function()
    assert.same({ "abc", websocket.DATA_TYPE_BINARY }, { echo("abc") })
    assert.same({ "abc", websocket.DATA_TYPE_BINARY }, { echo("abc", {}) })
  end)

  it("sends text and binary as asked", function()
    local text, binary = { type = websocket.DATA_TYPE_TEXT }, { type = websocket.DATA_TYPE_BINARY }
    assert.same({ "h\195\169", websocket.DATA_TYPE_TEXT }, { echo("h\195\169", text) })
    assert.same({ "\0\255", websocket.DATA_TYPE_BINARY }, { echo("\0\255", binary) })
  end)

  it("sends empty messages", function()
    assert.same({ "", websocket.DATA_TYPE_BINARY }, { echo("") })
    assert.same({ "", websocket.DATA_TYPE_TEXT }, { echo("", { type = websocket.DATA_TYPE_TEXT }) })
  end)

  it("turns numbers into strings as Lua does", function()
    assert.equal("42", (echo(42)))
    assert.equal(tostring(1.5), (echo(1.5)))
    assert.equal(tostring(2 ^ 53), (echo(2 ^ 53)))
  end)

  it("is a method, too", function()
    local connection, events = open()
    connection:send("by method", { type = websocket.DATA_TYPE_TEXT })
    assert.equal("by method", events:wait("MESSAGE").message)
    close(connection, events)
  end)

  it("keeps the order of many messages", function()
    local connection, events = open()
    local expected = {}
    for number = 1, 10000 do
      expected[number] = ("%d"):format(number)
      connection:send(expected[number])
    end
    events:wait("MESSAGE", #expected)
    assert.same(expected, events:messages())
    close(connection, events)
  end)

  -- Small messages, large ones and those between take different ways to the network.
  local SIZES = { 5, 4090, 4, 5000, 6, 20000, 40, 3, 70000, 8, 4096, 16384, 2 }

  local function send_all_sizes(connection, from, to)
    local expected = {}
    for number = from, to do
      local head = ("%d:"):format(number)
      expected[#expected + 1] = head .. ("."):rep(SIZES[number % #SIZES + 1])
      connection:send(expected[#expected])
    end
    return expected
  end

  for _, compression in ipairs({ false, true }) do
    local how = compression and ", compressed" or ""

    it("keeps the order of messages of all sizes, sent within a callback" .. how, function()
      local expected
      local events = recorder.new({
        CONNECTED = function(connection)
          expected = send_all_sizes(connection, 1, 1000)
        end,
      })
      local params = { compression = compression }
      local connection = websocket.connect(server:url("/echo"), params, events.callback)
      events:wait("MESSAGE", 1000)
      assert.same(expected, events:messages())
      close(connection, events)
    end)

    it("keeps the order of messages of all sizes, sent between updates" .. how, function()
      local connection, events = open({ compression = compression })
      local expected = {}
      for frame = 0, 99 do
        for _, message in ipairs(send_all_sizes(connection, frame * 10 + 1, frame * 10 + 10)) do
          expected[#expected + 1] = message
        end
        websocket.update()
      end
      events:wait("MESSAGE", #expected)
      assert.same(expected, events:messages())
      close(connection, events)
    end)
  end

  -- Sends and disconnects within the first callback. Returns DISCONNECTED, and how many messages
  -- and bytes the peer got.
  local function send_and_close(count, message, params)
    local python = peer.start("python")
    local events = recorder.new({
      CONNECTED = function(connection)
        for _ = 1, count do
          connection:send(message)
        end
        connection:disconnect()
      end,
    })
    websocket.connect(python:url("/sink"), params, events.callback)
    local data, got = events:wait("DISCONNECTED"), python:line()
    python:stop()
    return data, got
  end

  it("takes many small messages at once, from CONNECTED on", function()
    local data, got = send_and_close(100000, "x", { max_send_queue = 100000 })
    assert.is_true(data.clean)
    assert.equal("100000 100000", got)
  end)

  it("closes behind all that a slow network has not taken", function()
    local data, got = send_and_close(50000, ("x"):rep(100), { max_send_queue = 1e7 })
    assert.is_true(data.clean)
    assert.equal("50000 5000000", got)
  end)

  it("sends what the network takes at once, with a close_timeout of 0, too", function()
    local params = { close_timeout = 0, compression = false }
    local _, got = send_and_close(1000, ("x"):rep(100), params)
    assert.equal("1000 100000", got)
  end)

  -- A connection to a peer that reads nothing.
  local function open_full(params)
    local full = peer.raw("full")
    local events = recorder.new()
    local connection = websocket.connect(full:url(), params, events.callback)
    events:wait("CONNECTED")
    return connection, events, full
  end

  it("gives up a peer that takes nothing, however much waits for it", function()
    local params = { max_send_queue = 1e9, close_timeout = 100, compression = false, linger = true }
    local connection, events, full = open_full(params)
    for _ = 1, 200000 do
      connection:send(("x"):rep(100))
    end
    assert.is_true(connection:buffered() > 1e6)
    local took = clock.milliseconds(function()
      connection:disconnect()
      events:wait("DISCONNECTED")
    end)
    assert.is_true(took >= 99 and took < 2500, took)
    assert.equal(1006, events:find("DISCONNECTED").code)
    full:stop()
  end)

  it("raises for empty messages, too, when nobody takes them", function()
    local params = { max_send_queue = 1000, close_timeout = 50, compression = false }
    local connection, events, full = open_full(params)
    local ok, problem
    clock.drive(function()
      return ok == false
    end, function()
      for _ = 1, 1000 do
        ok, problem = pcall(connection.send, connection, "")
        if not ok then
          return
        end
      end
    end, "a full queue")
    assert.matches("the send queue is full", problem)
    connection:disconnect()
    events:wait("DISCONNECTED")
    full:stop()
  end)

  it("sends while a callback runs on", function()
    local python = peer.start("python")
    local events = recorder.new({
      CONNECTED = function(connection)
        for number = 1, 3 do
          connection:send("now")
          assert.equal(("got %d"):format(number), python:line())
        end
        connection:disconnect()
      end,
    })
    websocket.connect(python:url("/tell"), nil, events.callback)
    events:wait("DISCONNECTED")
    python:stop()
  end)

  it("tells what the network has not taken yet", function()
    local deaf = peer.raw("deaf")
    local events = recorder.new()
    local connection =
      websocket.connect(deaf:url(), { max_send_queue = 1e9, close_timeout = 50 }, events.callback)
    events:wait("CONNECTED")
    assert.equal(0, connection:buffered())
    connection:send(("x"):rep(2e6))
    assert.equal(2e6, connection:buffered())
    connection:disconnect()
    events:wait("DISCONNECTED")
    deaf:stop()
  end)

  describe("raises", function()
    local function nothing() end

    it("for what is no connection", function()
      for _, value in ipairs({ 1, "connection", true, {}, nothing, io.stdout }) do
        raises("The first argument must be a valid connection!", websocket.send, value, "x")
        raises("The first argument must be a valid connection!", websocket.disconnect, value)
      end
      raises("The first argument must be a valid connection!", websocket.send)
      raises("The first argument must be a valid connection!", websocket.disconnect)
    end)

    it("before CONNECTED", function()
      local events = recorder.new()
      local connection = websocket.connect(server:url(), nil, events.callback)
      raises("Connection isn't connected", websocket.send, connection, "too early")
      events:wait("CONNECTED")
      close(connection, events)
    end)

    it("after disconnect", function()
      local connection, events = open()
      connection:disconnect()
      raises("Connection isn't connected", websocket.send, connection, "too late")
      events:wait("DISCONNECTED")
    end)

    it("on a dead connection", function()
      local connection, events = open()
      close(connection, events)
      raises("Invalid connection", websocket.send, connection, "x")
      raises("Invalid connection", connection.send, connection, "x")
    end)

    it("at the line of the caller", function()
      local message = raises("The first argument must be a valid connection!", function()
        websocket.send(1, "x")
      end)
      assert.is_truthy(message:find("send_spec.lua:%d+:"), message)
    end)

    it("for text that is not UTF-8", function()
      local connection, events = open()
      for _, text in ipairs({ "\255", "\192\128", "\237\160\128", "cut \226\130" }) do
        raises("UTF-8", websocket.send, connection, text, { type = websocket.DATA_TYPE_TEXT })
      end
      connection:send("after")
      assert.same("after", events:wait("MESSAGE").message)
      close(connection, events)
    end)

    it("for what is neither string nor number", function()
      local connection, events = open()
      for _, message in ipairs({ true, {}, nothing }) do
        raises("message", function()
          websocket.send(connection, message)
        end)
      end
      raises("message", function()
        websocket.send(connection)
      end)
      close(connection, events)
    end)

    it("for an unknown type", function()
      local connection, events = open()
      for _, type in ipairs({ 0, 3, "text", {} }) do
        raises("type", function()
          websocket.send(connection, "x", { type = type })
        end)
      end
      close(connection, events)
    end)

    it("when the queue is full, and sends nothing of it", function()
      local connection, events = open({ max_send_queue = 1000 })
      raises("max_send_queue", function()
        connection:send(("x"):rep(1001))
      end)
      connection:send("fits")
      assert.equal("fits", events:wait("MESSAGE").message)
      close(connection, events)
      assert.same({ "fits" }, events:messages())
    end)
  end)
end)
