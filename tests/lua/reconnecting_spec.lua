-- ReconnectingWebSocket against servers that come and go.
local clock = require("support.clock")
local peer = require("support.peer")
local program = require("support.program")
local sockets = require("support.sockets")
local testing = require("websocket.testing")
local websocket = require("websocket")

local ReconnectingWebSocket = websocket.ReconnectingWebSocket
local drive, keep, log, serve = sockets.drive, sockets.keep, sockets.log, sockets.serve

describe("a ReconnectingWebSocket", function()
  before_each(sockets.begin)
  after_each(sockets.close_all)

  local QUICK = { minDelay = 10, maxDelay = 40, minUptime = 0 }

  local function with(more)
    local options = {}
    for name, value in pairs(QUICK) do
      options[name] = value
    end
    for name, value in pairs(more or {}) do
      options[name] = value
    end
    return options
  end

  local function connect(url, protocols, options)
    return keep(ReconnectingWebSocket(url, protocols, options or QUICK))
  end

  local function dead_url()
    local gone = websocket.WebSocketServer()
    gone:close()
    return gone.url
  end

  local function raises(name, call, ...)
    local ok, err = pcall(call, ...)
    assert.is_false(ok, "nothing was raised")
    assert.equal(name, err.name, tostring(err))
    return err
  end

  local function kill(other)
    os.execute("kill -KILL " .. other.pid)
    other.output:close()
  end

  -- Each "close" event of a socket.
  local function closes(socket)
    local events = {}
    socket:addEventListener("close", function(event)
      events[#events + 1] = event
    end)
    return events
  end

  it("behaves as a WebSocket while all is well", function()
    local server = serve({ protocols = "chat" })
    local socket = connect(server.url, "chat")
    local lines = log(socket)
    assert.equal(0, socket.readyState)
    assert.equal(server.url .. "/", socket.url)
    sockets.reach(socket, 1)
    assert.equal("chat", socket.protocol)
    assert.equal(101, socket.handshakeResponse.status)
    assert.matches("permessage%-deflate", socket.extensions)
    socket.binaryType = "arraybuffer"
    assert.equal("arraybuffer", socket.binaryType)
    socket:send("hello")
    assert.equal(5, socket.bufferedAmount)
    socket:sendBytes("\0\1")
    drive(function()
      return lines.message and lines.message.binary
    end)
    assert.equal(socket, lines.message.target)
    socket:close(3000, "done")
    assert.equal(2, socket.readyState)
    sockets.finish(socket, lines)
    assert.same({ "open", "message hello", "message \0\1", "close 3000 done" }, lines)
    assert.is_false(lines.close.willReconnect)
    assert.is_nil(lines.close.retryIn)
    assert.equal(3, socket.readyState)
    assert.equal(0, socket.retryCount)
    socket:send("late")
    assert.equal(4, socket.bufferedAmount)
  end)

  it("has members that are read-only, and checked arguments", function()
    local socket = connect(serve().url)
    local names = { "url", "readyState", "bufferedAmount", "retryCount", "protocol", "OPEN" }
    for _, name in ipairs(names) do
      raises("TypeError", function()
        socket[name] = 1
      end)
    end
    raises("InvalidAccessError", socket.close, socket, 999)
    raises("SyntaxError", socket.close, socket, 1000, ("x"):rep(124))
    raises("SyntaxError", socket.send, socket, "\255")
    raises("TypeError", socket.send, socket, {})
    raises("TypeError", function()
      socket.onopen = 5
    end)
    raises("SyntaxError", ReconnectingWebSocket, "ftp://example.org/")
    raises("SyntaxError", ReconnectingWebSocket, serve().url, "a b")
    raises("TypeError", ReconnectingWebSocket, serve().url, nil, { minDelay = "soon" })
    raises("TypeError", ReconnectingWebSocket, serve().url, nil, 5)
  end)

  it("comes back after a loss", function()
    local server = serve()
    local accepted = {}
    server.newConnection:connect(function(other)
      accepted[#accepted + 1] = other
    end)
    local socket = connect(server.url)
    local lines = log(socket)
    drive(function()
      return #accepted == 1
    end)
    accepted[1]:close(3000, "restart")
    drive(function()
      return #accepted == 2 and socket.readyState == 1
    end)
    local expected = { "open", "close 3000 restart", "connecting", "open" }
    assert.same(expected, lines)
    assert.is_true(lines.close.willReconnect)
    assert.equal(1, lines.connecting.attempt)
    assert.equal(server.url .. "/", lines.connecting.url)
  end)

  it("waits longer and longer, up to the cap", function()
    local options = with({ jitter = false, factor = 2, maxRetries = 4, minDelay = 20 })
    local socket = connect(dead_url(), nil, options)
    local events, began = closes(socket), {}
    socket.onconnecting = function()
      began[#began + 1] = clock.now()
    end
    local ended = {}
    socket:addEventListener("close", function()
      ended[#ended + 1] = clock.now()
    end)
    sockets.reach(socket, 3)
    local delays = {}
    for i, event in ipairs(events) do
      delays[i] = event.retryIn
      assert.equal(i <= 4, event.willReconnect)
    end
    assert.same({ 20, 40, 40, 40 }, delays)
    assert.equal(4, socket.retryCount)
    for i, at in ipairs(began) do
      local gap = (at - ended[i]) * 1000
      assert.is_true(gap >= delays[i] - 2, ("gap %d: %.1f ms"):format(i, gap))
      assert.is_true(gap < delays[i] + 2000, ("gap %d: %.1f ms"):format(i, gap))
    end
  end)

  it("spreads its attempts between minDelay and that much more than the backoff", function()
    local options = with({ maxRetries = 30, minDelay = 20, factor = 1, maxDelay = 1000 })
    local events = closes(connect(dead_url(), nil, options))
    drive(function()
      return #events == 31
    end)
    local sum = 0
    for i = 1, 30 do
      local delay = events[i].retryIn
      assert.is_true(delay >= 20 and delay <= 40, "a delay of " .. delay)
      sum = sum + delay
    end
    assert.is_true(sum > 700 and sum < 1100, "the mean is far from the middle: " .. sum / 30)
  end)

  it("keeps to minDelay where maxDelay is below it", function()
    for _, jitter in ipairs({ true, false }) do
      local options = { minDelay = 60000, maxDelay = 10, jitter = jitter }
      local events = closes(connect(dead_url(), nil, options))
      drive(function()
        return #events == 1
      end)
      assert.equal(60000, events[1].retryIn)
    end
  end)

  it("leaves the script's math.random alone", function()
    local function sequence()
      local numbers = {}
      for i = 1, 5 do
        numbers[i] = math.random(1000000)
      end
      return numbers
    end
    math.randomseed(42)
    local expected = sequence()
    math.randomseed(42)
    local events = closes(connect(dead_url()))
    drive(function()
      return #events == 3
    end)
    assert.same(expected, sequence())
  end)

  it("spreads the clients of many processes, none before minDelay", function()
    local script = [[
      local websocket = require("websocket")
      local url = "ws://127.0.0.1:%d/"
      local options = { minDelay = 60000, maxDelay = 120000 }
      local socket = websocket.ReconnectingWebSocket(url, nil, options)
      function socket.onclose(event)
        print(event.retryIn)
        socket:destroy()
      end
      websocket.run()
    ]]
    script = script:format(program.free_port())
    local shortest, longest = math.huge, -math.huge
    for _ = 1, 20 do
      local delay = tonumber(program.lua(script))
      shortest, longest = math.min(shortest, delay), math.max(longest, delay)
    end
    assert.is_true(shortest >= 60000 and longest <= 120000, shortest .. " to " .. longest)
    -- Twenty numbers of one minute lie within half of it once in 50,000 times.
    assert.is_true(longest - shortest > 30000, shortest .. " to " .. longest)
  end)

  for name, bad in pairs({
    minDelay = { -1, 0 / 0, math.huge, "soon" },
    maxDelay = { -1, math.huge },
    factor = { 0.5, 0 / 0 },
    minUptime = { -1 },
    maxRetries = { -1, false },
    connectionTimeout = { -1 },
    maxOutbox = { -1, {} },
    jitter = { 1 },
    stopCodes = { 1000, { "1000" }, { { 4000 } } },
  }) do
    it("refuses a bad " .. name .. " and says what is good", function()
      for _, value in ipairs(bad) do
        local err = raises("TypeError", ReconnectingWebSocket, dead_url(), nil, { [name] = value })
        assert.matches("^" .. name .. " must be ", err.message)
        assert.matches("reconnecting_spec", err.where)
      end
    end)
  end

  it("stops after maxRetries, for `reconnect` to begin again", function()
    local socket = connect(dead_url(), nil, with({ maxRetries = 2 }))
    local lines = log(socket)
    sockets.reach(socket, 3)
    local one = { "error", "close 1006  unclean", "connecting" }
    local all = { one[1], one[2], one[3], one[1], one[2], one[3], one[1], one[2] }
    assert.same(all, lines)
    assert.is_false(lines.close.willReconnect)
    local again = log(socket)
    socket:reconnect()
    assert.equal(0, socket.readyState)
    drive(function()
      return socket.readyState == 3
    end)
    assert.equal("connecting", again[1])
    assert.equal(9, #again)
  end)

  for _, code in ipairs({ 1000, 1008, 4000, 4999 }) do
    it("stops after the code " .. code, function()
      local server = serve()
      server.onconnection = function(accepted)
        -- A WebSocket may not send 1008; the module may.
        accepted._transport:close(code, "no more")
      end
      local socket = connect(server.url)
      local lines = log(socket)
      sockets.finish(socket, lines)
      assert.same({ "open", ("close %d no more"):format(code) }, lines)
      assert.equal(3, socket.readyState)
    end)
  end

  it("stops after other codes if it is told so", function()
    local server = serve()
    local count = 0
    server.onconnection = function(accepted)
      count = count + 1
      accepted:close(count == 1 and 4000 or 3000)
    end
    local socket = connect(server.url, nil, with({ stopCodes = { 3000 } }))
    sockets.reach(socket, 3)
    assert.equal(2, count)
  end)

  it("goes on with a longer backoff where the connection was not up for minUptime", function()
    local server = serve()
    server.onconnection = function(accepted)
      accepted:close(3000)
    end
    local options = with({ minUptime = 60000, maxRetries = 3, jitter = false, minDelay = 5 })
    local socket = connect(server.url, nil, options)
    local events = closes(socket)
    sockets.reach(socket, 3)
    assert.same({ 5, 10, 20 }, { events[1].retryIn, events[2].retryIn, events[3].retryIn })
    assert.equal(4, #events)
  end)

  it("begins its backoff anew after minUptime", function()
    local moved, server = testing.clock(), testing.server()
    local options = { minUptime = 5000, jitter = false, minDelay = 1000 }
    local socket = connect(server.url, nil, options)
    local events = closes(socket)
    for attempt = 1, 3 do
      local client = server:accept()
      sockets.reach(socket, 1)
      moved:advance(5000)
      client:close(3000)
      drive(function()
        return events[attempt]
      end)
      assert.equal(1000, events[attempt].retryIn)
      moved:advance(1000)
    end
    socket:close()
    testing.finish()
  end)

  it("gives up an attempt after connectionTimeout", function()
    local server = testing.server()
    server:network({ stalled = true })
    local options = with({ connectionTimeout = 100, maxRetries = 1 })
    local socket = connect(server.url, nil, options)
    local lines = log(socket)
    sockets.reach(socket, 3)
    testing.finish()
    assert.equal("SocketTimeoutError", lines.error.name)
    assert.equal(5, #lines)
  end)

  it("asks a function for the URL and the protocols before each attempt", function()
    local server = serve({ protocols = { "v1", "v2" } })
    local paths, protocols = {}, {}
    server.onconnection = function(accepted, request)
      paths[#paths + 1] = request.path
      protocols[#protocols + 1] = accepted.protocol
      accepted:close(3000)
    end
    local attempt = 0
    local socket = connect(function()
      attempt = attempt + 1
      return server.url .. "/?token=" .. attempt
    end, function()
      return { "v" .. attempt }
    end, with({ maxRetries = 1, minUptime = 60000 }))
    sockets.reach(socket, 3)
    assert.same({ "/?token=1", "/?token=2" }, paths)
    assert.same({ "v1", "v2" }, protocols)
  end)

  it("raises what the function raises first, and reports it later", function()
    assert.has_error(function()
      ReconnectingWebSocket(function()
        error("no token", 0)
      end)
    end, "no token")
    local calls = 0
    local dead = dead_url()
    local socket = connect(function()
      calls = calls + 1
      if calls == 2 then
        error("no token", 0)
      end
      return calls == 3 and "ftp://example.org" or dead
    end, nil, with({ maxRetries = 3 }))
    local errors = {}
    socket.onerror = function(event)
      errors[#errors + 1] = event.message
    end
    sockets.reach(socket, 3)
    assert.equal(4, calls)
    assert.equal("no token", errors[2])
    assert.matches("scheme", errors[3])
    assert.equal(4, #errors)
  end)

  describe("with an outbox", function()
    it("sends what was sent while it was away, in order, after `open`", function()
      local server = serve()
      local socket = connect(server.url)
      local lines = log(socket)
      socket:send("one")
      socket:send("\255", "binary")
      socket:send(3)
      socket:send(setmetatable({}, {
        __tostring = function()
          return 4
        end,
      }))
      assert.equal(6, socket.bufferedAmount)
      socket.onopen = function()
        socket:send("hello again")
      end
      drive(function()
        return #lines == 6
      end)
      assert.same({
        "open",
        "message hello again",
        "message one",
        "message \255",
        "message 3",
        "message 4",
      }, lines)
      drive(function()
        return socket.bufferedAmount == 0
      end)
    end)

    it("refuses what goes beyond its limit, and keeps what it has", function()
      local server = serve()
      local socket = connect(server.url, nil, with({ maxOutbox = 10 }))
      local lines = log(socket)
      socket:send("12345")
      socket:send("67890")
      assert.equal(22, raises("QuotaExceededError", socket.send, socket, "!").code)
      socket:send("")
      assert.equal(10, socket.bufferedAmount)
      drive(function()
        return #lines == 4
      end)
      assert.same({ "open", "message 12345", "message 67890", "message " }, lines)
    end)

    it("drops it where it stops, and counts it", function()
      local socket = connect(dead_url(), nil, with({ maxRetries = 0 }))
      socket:send("12345")
      sockets.reach(socket, 3)
      socket:send("6")
      assert.equal(6, socket.bufferedAmount)
    end)

    it("takes back what a broken connection had not written", function()
      local other = peer.start("node")
      local socket = connect(function()
        return other:url("/echo")
      end, nil, { minDelay = 10, compression = false })
      sockets.reach(socket, 1)
      os.execute("kill -STOP " .. other.pid)
      local size, count = 1000000, 24
      local got = {}
      socket.onmessage = function(event)
        local number = event.data:match("^%d+")
        got[number] = (got[number] or 0) + 1
      end
      for i = 1, count do
        socket:send(("%d "):format(i) .. ("."):rep(size), "binary")
      end
      local unwritten, returned
      socket:addEventListener("close", function()
        returned = returned or socket.bufferedAmount
      end)
      -- The kernel takes some of it, and may take more until the end; the rest stays here.
      clock.poll(function()
        websocket.update()
        unwritten = socket.bufferedAmount
        return unwritten < (count - 1) * size
      end)
      kill(other)
      drive(function()
        return returned
      end)
      other = peer.start("node")
      drive(function()
        return got[tostring(count)]
      end)
      other:stop()
      local first
      for i = 1, count do
        local times = got[tostring(i)]
        first = first or times and i
        assert.equal(first and 1, times, "message " .. i)
      end
      assert.is_true(first > 1)
      -- What was written does not come back, and of what was not, all messages do.
      local again = count - first + 1
      assert.equal(again, math.floor(returned / size))
      assert.is_true((again - 1) * size < unwritten, unwritten)
    end)

    it("delivers each message once while its server is killed twenty times", function()
      local other = peer.start("node")
      local socket = connect(function()
        return other:url("/echo")
      end, nil, { minDelay = 5, maxDelay = 50 })
      local lines = log(socket)
      local got, total = {}, 0
      socket.onmessage = function(event)
        got[event.data] = (got[event.data] or 0) + 1
        total = total + 1
      end
      sockets.reach(socket, 1)
      for round = 1, 20 do
        getmetatable(lines).__index.close = nil
        kill(other)
        drive(function()
          return lines.close
        end)
        for i = 1, 5 do
          socket:send(("round %d message %d"):format(round, i))
        end
        other = peer.start("node")
        drive(function()
          return total == round * 5
        end, "the messages of round " .. round)
      end
      socket:close()
      sockets.reach(socket, 3)
      other:stop()
      for round = 1, 20 do
        for i = 1, 5 do
          assert.equal(1, got[("round %d message %d"):format(round, i)])
        end
      end
    end)
  end)

  describe("told to", function()
    it("close while it waits: `error`, then `close` 1006, and no more attempts", function()
      local socket = connect(dead_url(), nil, { minDelay = 60000, jitter = false })
      local lines = log(socket)
      sockets.finish(socket, lines)
      assert.equal(0, socket.readyState)
      local more = log(socket)
      socket:close()
      assert.equal(2, socket.readyState)
      assert.same({}, more)
      sockets.reach(socket, 3)
      assert.same({ "error", "close 1006  unclean" }, more)
      assert.is_false(more.close.willReconnect)
    end)

    it("close while it connects: the same", function()
      local socket = connect(serve().url)
      local lines = log(socket)
      socket:close(3000)
      sockets.reach(socket, 3)
      assert.same({ "error", "close 1006  unclean" }, lines)
    end)

    it("reconnect while it waits: at once, as the first attempt", function()
      local socket = connect(dead_url(), nil, { minDelay = 60000, jitter = false })
      local lines = log(socket)
      sockets.finish(socket, lines)
      socket:reconnect()
      drive(function()
        return #lines == 5
      end)
      assert.same({
        "error",
        "close 1006  unclean",
        "connecting",
        "error",
        "close 1006  unclean",
      }, lines)
      assert.equal(0, lines.connecting.attempt)
    end)

    it("reconnect while it is open: closes, and opens anew", function()
      local server = serve()
      local socket = connect(server.url)
      local lines = log(socket)
      sockets.reach(socket, 1)
      socket:reconnect()
      assert.equal(0, socket.readyState)
      socket:send("meanwhile")
      drive(function()
        return lines.message
      end)
      assert.same({ "open", "close 1000 ", "connecting", "open", "message meanwhile" }, lines)
    end)

    it("reconnect in its `close` event", function()
      local socket = connect(serve().url)
      local lines = log(socket)
      socket:addEventListener("close", function()
        socket:reconnect()
      end, { once = true })
      sockets.reach(socket, 1)
      socket:close()
      drive(function()
        return #lines == 4
      end)
      assert.same({ "open", "close 1000 ", "connecting", "open" }, lines)
    end)

    it("close in its `close` event, though it would have come back", function()
      local socket = connect(dead_url())
      local lines = log(socket)
      socket.onclose = function()
        socket.onclose = nil
        socket:close()
      end
      sockets.reach(socket, 3)
      assert.same({ "error", "close 1006  unclean", "error", "close 1006  unclean" }, lines)
    end)

    it("be destroyed while it waits, and while it is open", function()
      local waiting = connect(dead_url(), nil, { minDelay = 60000, jitter = false })
      sockets.finish(waiting)
      local open = sockets.reach(connect(serve().url), 1)
      for _, socket in ipairs({ waiting, open }) do
        local lines = log(socket)
        socket:destroy()
        socket:destroy()
        sockets.reach(socket, 3)
        assert.same({}, lines)
      end
    end)
  end)
end)
