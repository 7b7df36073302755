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

    it("for options that are no table", function()
      local connection, events = open()
      raises("options", function()
        websocket.send(connection, "x", "text")
      end)
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
