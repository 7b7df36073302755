local clock = require("support.clock")
local peer = require("support.peer")
local raises = require("support.raises")
local recorder = require("support.recorder")
local websocket = require("websocket")

describe("connect", function()
  local server

  setup(function()
    server = peer.start("python")
  end)

  teardown(function()
    server:stop()
  end)

  local function closed(events, connection)
    connection:disconnect()
    events:wait("DISCONNECTED")
  end

  it("gives CONNECTED with the handshake's response", function()
    local events = recorder.new()
    local connection = websocket.connect(server:url("/echo"), nil, events.callback)
    local data = events:wait("CONNECTED")
    assert.equal("", data.message)
    assert.equal(101, data.handshake_response.status)
    assert.equal("", data.handshake_response.response)
    assert.equal("python", data.handshake_response.headers["X-Peer"])
    assert.equal("python", data.handshake_response.headers["x-peer"])
    closed(events, connection)
  end)

  it("names the response's headers as they were sent, each value a string", function()
    local events = recorder.new()
    local connection = websocket.connect(server:url("/echo"), nil, events.callback)
    local names = {}
    for name, value in pairs(events:wait("CONNECTED").handshake_response.headers) do
      names[name] = true
      assert.is_string(value)
    end
    assert.is_true(names["X-Peer"])
    assert.is_nil(names["x-peer"])
    assert.is_true(names["Set-Cookie"])
    closed(events, connection)
  end)

  it("calls nothing before update", function()
    local events = recorder.new()
    local connection = websocket.connect(server:url("/echo"), nil, events.callback)
    assert.same({}, events:names())
    assert.equal("connecting", connection:state())
    events:wait("CONNECTED")
    closed(events, connection)
  end)

  it("hands self to the callback, whatever it is", function()
    for _, self in ipairs({ { "instance" }, "text", 7, false, print }) do
      local events = recorder.new()
      local connection = websocket.connect(server:url(), { self = self }, events.callback)
      assert.equal(self, events:wait("CONNECTED").owner)
      closed(events, connection)
      assert.equal(self, events:find("DISCONNECTED").owner)
    end
  end)

  it("hands nil to the callback when there is no self", function()
    local events = recorder.new()
    local connection = websocket.connect(server:url(), {}, events.callback)
    assert.is_nil(events:wait("CONNECTED").owner)
    closed(events, connection)
  end)

  it("ignores params that it does not know", function()
    local events = recorder.new()
    local params = { unknown = true, [1] = "list" }
    local connection = websocket.connect(server:url(), params, events.callback)
    events:wait("CONNECTED")
    closed(events, connection)
  end)

  it("names what it was connected to", function()
    local events = recorder.new()
    local connection = websocket.connect(server:url("/echo?a=b"), nil, events.callback)
    events:wait("CONNECTED")
    assert.equal(server:url("/echo?a=b"), connection.url)
    assert.equal("127.0.0.1:" .. server.port, connection.remote_address)
    assert.equal("", connection.protocol)
    assert.is_string(connection.extensions)
    closed(events, connection)
  end)

  it("tells its state from beginning to end", function()
    local events = recorder.new()
    local connection = websocket.connect(server:url(), nil, events.callback)
    assert.equal("connecting", connection:state())
    events:wait("CONNECTED")
    assert.equal("open", connection:state())
    connection:disconnect()
    assert.equal("closing", connection:state())
    events:wait("DISCONNECTED")
    assert.equal("closed", connection:state())
  end)

  it("resolves names", function()
    local events = recorder.new()
    local url = ("ws://localhost:%d/"):format(server.port)
    local connection = websocket.connect(url, nil, events.callback)
    events:wait("CONNECTED")
    closed(events, connection)
  end)

  it("waits for delay before it dials", function()
    local events = recorder.new()
    local connection
    local took = clock.milliseconds(function()
      connection = websocket.connect(server:url(), { delay = 300 }, events.callback)
      events:wait("CONNECTED")
    end)
    assert.is_true(took >= 299, took)
    closed(events, connection)
  end)

  describe("raises on misuse:", function()
    local function nothing() end

    it("a URL that is no string", function()
      for _, url in ipairs({ {}, true, nothing }) do
        raises("url", function()
          websocket.connect(url, nil, nothing)
        end)
      end
    end)

    it("a callback that is no function", function()
      raises("callback", function()
        websocket.connect("ws://127.0.0.1/", {})
      end)
      raises("callback", function()
        websocket.connect("ws://127.0.0.1/", {}, "callback")
      end)
    end)

    it("a param of the wrong type, which it names", function()
      for _, key in ipairs({
        "timeout",
        "max_message_size",
        "max_receive_queue",
        "max_send_queue",
        "close_timeout",
        "delay",
        "protocol",
        "headers",
      }) do
        raises(key, function()
          websocket.connect("ws://127.0.0.1/", { [key] = true }, nothing)
        end)
      end
    end)

    it("a negative number of milliseconds or bytes", function()
      for _, key in ipairs({ "max_message_size", "close_timeout", "ping_timeout", "delay" }) do
        raises(key, function()
          websocket.connect("ws://127.0.0.1/", { [key] = -1 }, nothing)
        end)
      end
    end)

    it("at the line of the caller", function()
      local message = raises("params.tls", function()
        websocket.connect("ws://127.0.0.1/", { tls = 1 }, nothing)
      end)
      assert.is_truthy(message:find("connect_spec.lua:%d+:"))
    end)
  end)

  describe("never raises, but gives ERROR and DISCONNECTED, for", function()
    local function failure(url, params)
      local events = recorder.new()
      websocket.connect(url, params, events.callback)
      local closing = events:wait("DISCONNECTED")
      assert.same({ "ERROR", "DISCONNECTED" }, events:names())
      assert.equal(1006, closing.code)
      assert.is_false(closing.clean)
      assert.equal("", closing.reason)
      local data = events:find("ERROR")
      assert.is_string(data.message)
      assert.not_equal("", data.message)
      return data
    end

    it("a bad URL", function()
      local urls = { "", "no url", "ws://", "ftp://127.0.0.1/", "ws://127.0.0.1:99999/" }
      for _, url in ipairs(urls) do
        assert.is_number(failure(url).error)
      end
    end)

    it("an unknown host", function()
      local data = failure("ws://host.invalid/")
      assert.equal("resolve", data.stage)
      assert.equal(websocket.ERROR_HOST_NOT_FOUND, data.error)
      assert.is_truthy(data.message:find("host.invalid", 1, true), data.message)
    end)

    it("a port that refuses", function()
      local data = failure(("ws://127.0.0.1:%d/"):format(peer.closed_port()))
      assert.equal("connect", data.stage)
      assert.equal(websocket.ERROR_CONNECTION_REFUSED, data.error)
    end)

    it("a server that stays silent until the timeout", function()
      local silent = peer.raw("silent")
      local data = failure(silent:url(), { timeout = 100 })
      assert.equal("handshake", data.stage)
      assert.equal(websocket.ERROR_SOCKET_TIMEOUT, data.error)
      silent:stop()
    end)

    it("an address that swallows packets until the timeout", function()
      local blackhole = peer.raw("blackhole")
      local data = failure(blackhole:url(), { timeout = 100 })
      assert.equal("connect", data.stage)
      assert.equal(websocket.ERROR_SOCKET_TIMEOUT, data.error)
      blackhole:stop()
    end)
  end)

  describe("with a peer that stalls", function()
    local TRIES = 21

    local function median(values)
      table.sort(values)
      return values[math.ceil(#values / 2)]
    end

    local stalled = {
      ["an unresolvable name"] = function()
        return "ws://host.invalid/", function() end
      end,
      ["a blackholed address"] = function()
        local blackhole = peer.raw("blackhole")
        return blackhole:url(), function()
          blackhole:stop()
        end
      end,
      ["a silent server"] = function()
        local silent = peer.raw("silent")
        return silent:url(), function()
          silent:stop()
        end
      end,
    }

    for name, start in pairs(stalled) do
      it("returns within 1 ms: " .. name, function()
        local url, stop = start()
        local times, all = {}, {}
        for try = 1, TRIES do
          all[try] = recorder.new()
          local connection
          times[try] = clock.milliseconds(function()
            connection = websocket.connect(url, { timeout = 10000 }, all[try].callback)
          end)
          connection:disconnect()
        end
        assert.is_true(median(times) < 1, median(times))
        for _, events in ipairs(all) do
          events:wait("DISCONNECTED")
        end
        stop()
      end)

      it("ends within 50 ms of disconnect: " .. name, function()
        local url, stop = start()
        local best = clock.best(50, function()
          local events = recorder.new()
          local connection = websocket.connect(url, { timeout = 10000 }, events.callback)
          websocket.wait(20)
          local took = clock.milliseconds(function()
            connection:disconnect()
            events:wait("DISCONNECTED")
          end)
          assert.equal(1, events:count("DISCONNECTED"))
          return took
        end)
        assert.is_true(best < 50, best)
        stop()
      end)
    end

    for _, name in ipairs({ "a blackholed address", "a silent server" }) do
      it("times out within 50 ms of the time: " .. name, function()
        local url, stop = stalled[name]()
        local best = clock.best(450, function()
          local events = recorder.new()
          local took = clock.milliseconds(function()
            websocket.connect(url, { timeout = 400 }, events.callback)
            events:wait("DISCONNECTED")
          end)
          assert.is_true(took >= 399, took)
          return took
        end)
        assert.is_true(best < 450, best)
        stop()
      end)
    end
  end)
end)
