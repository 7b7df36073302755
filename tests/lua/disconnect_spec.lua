local clock = require("support.clock")
local peer = require("support.peer")
local process = require("support.process")
local raises = require("support.raises")
local recorder = require("support.recorder")
local websocket = require("websocket")

describe("disconnect", function()
  local python, node

  setup(function()
    python = peer.start("python")
    node = peer.start("node")
  end)

  teardown(function()
    python:stop()
    node:stop()
  end)

  -- What a server sees of a close.
  local function observed(...)
    local events = recorder.new()
    local connection = websocket.connect(python:url("/observe"), { linger = true }, events.callback)
    assert.equal("open", python:line())
    events:wait("CONNECTED")
    websocket.disconnect(connection, ...)
    return python:line(), events:wait("DISCONNECTED")
  end

  it("closes with 1000", function()
    local seen, data = observed()
    assert.equal("closed 1000", seen)
    assert.same({ 1000, "", true }, { data.code, data.reason, data.clean })
  end)

  it("closes with the code and reason that it is given", function()
    assert.equal("closed 4001", (observed(4001)))
    local seen, data = observed(3999, "see you")
    assert.equal("closed 3999 see you", seen)
    assert.same({ 3999, true }, { data.code, data.clean })
  end)

  it("sends what is queued first", function()
    local events = recorder.new({
      CONNECTED = function(connection)
        connection:send(("x"):rep(5000000))
        connection:send("last")
        connection:disconnect()
      end,
    })
    websocket.connect(python:url("/sink"), nil, events.callback)
    assert.is_true(events:wait("DISCONNECTED").clean)
    assert.equal("2 5000004", python:line())
  end)

  it("is a method, too", function()
    local events = recorder.new()
    local connection = websocket.connect(python:url(), nil, events.callback)
    events:wait("CONNECTED")
    connection:disconnect(4000, "bye")
    assert.equal(4000, events:wait("DISCONNECTED").code)
  end)

  it("gives one DISCONNECTED and no ERROR before CONNECTED", function()
    local events = recorder.new()
    local silent = peer.raw("silent")
    local connection = websocket.connect(silent:url(), nil, events.callback)
    connection:disconnect()
    events:wait("DISCONNECTED")
    assert.same({ "DISCONNECTED" }, events:names())
    silent:stop()
  end)

  it("ends a connection that is still delayed", function()
    local events = recorder.new()
    local connection = websocket.connect(python:url(), { delay = 60000 }, events.callback)
    local took = clock.milliseconds(function()
      connection:disconnect()
      events:wait("DISCONNECTED")
    end)
    assert.is_true(took < 10000, took)
    assert.same({ "DISCONNECTED" }, events:names())
  end)

  it("does nothing the second time", function()
    local events = recorder.new()
    local connection = websocket.connect(python:url(), nil, events.callback)
    events:wait("CONNECTED")
    connection:disconnect(4000)
    connection:disconnect(4001)
    assert.equal(4000, events:wait("DISCONNECTED").code)
    assert.equal(0, websocket.wait(20))
    assert.equal(1, events:count("DISCONNECTED"))
  end)

  it("does nothing, silently, on a dead connection", function()
    local events = recorder.new()
    local connection = websocket.connect(python:url("/close"), nil, events.callback)
    events:wait("DISCONNECTED")
    assert.equal(0, select("#", websocket.disconnect(connection)))
    connection:disconnect(1000, "again")
    assert.equal(0, websocket.wait(20))
    assert.equal(1, events:count("DISCONNECTED"))
  end)

  it("raises for a code that no endpoint may send, and closes nothing", function()
    local events = recorder.new()
    local connection = websocket.connect(python:url(), nil, events.callback)
    events:wait("CONNECTED")
    for _, code in ipairs({ 0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 70000, -1, 1000.5 }) do
      raises("code", function()
        connection:disconnect(code)
      end)
    end
    raises("code", function()
      connection:disconnect("normal")
    end)
    assert.equal("open", connection:state())
    connection:disconnect()
    events:wait("DISCONNECTED")
  end)

  it("raises for a reason that does not fit or is not UTF-8, and closes nothing", function()
    local events = recorder.new()
    local connection = websocket.connect(python:url(), nil, events.callback)
    events:wait("CONNECTED")
    for _, reason in ipairs({ ("x"):rep(124), "\255" }) do
      raises("reason", function()
        connection:disconnect(1000, reason)
      end)
    end
    assert.equal("open", connection:state())
    connection:disconnect(1000, ("x"):rep(123))
    events:wait("DISCONNECTED")
  end)

  it("waits close_timeout for a peer that does not answer", function()
    local deaf = peer.raw("deaf")
    local events = recorder.new()
    local connection =
      websocket.connect(deaf:url(), { close_timeout = 200, linger = true }, events.callback)
    events:wait("CONNECTED")
    local took = clock.milliseconds(function()
      connection:disconnect()
      events:wait("DISCONNECTED")
    end)
    assert.is_true(took >= 199 and took < 2500, took)
    assert.is_false(events:find("DISCONNECTED").clean)
    deaf:stop()
  end)

  it("sleeps while it waits for a peer that does not answer", function()
    local deaf = peer.raw("deaf")
    local events = recorder.new()
    local params = { close_timeout = 500, linger = true, ping_interval = 50, ping_timeout = 60000 }
    local connection = websocket.connect(deaf:url(), params, events.callback)
    events:wait("CONNECTED")
    local cpu = process.cpu_ms()
    connection:disconnect()
    events:wait("DISCONNECTED")
    cpu = process.cpu_ms() - cpu
    assert.is_true(cpu < 250, cpu)
    deaf:stop()
  end)

  describe("by the peer", function()
    local function closed_by(url)
      local events = recorder.new()
      websocket.connect(url, nil, events.callback)
      local data = events:wait("DISCONNECTED")
      assert.same({ "CONNECTED", "DISCONNECTED" }, events:names())
      return data
    end

    it("tells its code and reason", function()
      for _, server in ipairs({ python, node }) do
        for _, code in ipairs({ 1000, 1001, 1008, 3000, 4999 }) do
          local data = closed_by(server:url(("/close?code=%d&reason=because"):format(code)))
          assert.same({ code, "because", "because", true }, {
            data.code,
            data.reason,
            data.message,
            data.clean,
          })
        end
      end
    end)

    it("tells its code although it takes no reply", function()
      local kick = peer.raw("kick")
      for _ = 1, 10 do
        local events = recorder.new({
          CONNECTED = function(connection)
            connection:send(("x"):rep(100000))
          end,
        })
        websocket.connect(kick:url(), nil, events.callback)
        local data = events:wait("DISCONNECTED")
        assert.same({ 4001, "kicked" }, { data.code, data.reason })
      end
      kick:stop()
    end)

    it("tells 1005 when it sent no code", function()
      local data = closed_by(node:url("/close?code=none"))
      assert.same({ 1005, "", true }, { data.code, data.reason, data.clean })
    end)
  end)
end)
