-- The kit for tests of scripts: what it does, and what it says where a test fails.
local leaks = require("support.leaks")
local process = require("support.process")
local program = require("support.program")
local raises = require("support.raises")
local testing = require("websocket.testing")
local websocket = require("websocket")

local TEXT = { type = websocket.DATA_TYPE_TEXT }

describe("websocket.testing", function()
  -- What `finish` says is part of some tests.
  local finished

  before_each(function()
    finished = false
    testing.begin()
  end)

  after_each(function()
    if not finished then
      testing.finish()
    end
  end)

  local function finish()
    finished = true
    testing.finish()
  end

  -- A browser-style client whose events are lines.
  local function connect(url, ...)
    local socket = websocket.WebSocket(url, ...)
    leaks.watch(socket)
    local lines = {}
    socket.onopen = function()
      lines[#lines + 1] = "open"
    end
    socket.onmessage = function(event)
      lines[#lines + 1] = "message " .. event.data
    end
    socket.onerror = function(event)
      lines[#lines + 1] = "error " .. event.name
    end
    socket.onclose = function(event)
      lines[#lines + 1] = ("close %d %s"):format(event.code, event.reason)
    end
    return socket, lines
  end

  -- Once a client has connected: both sides of it.
  local function meet(server, ...)
    local socket, lines = connect(server.url, ...)
    local client = server:accept()
    testing.wait_for(function()
      return socket.readyState == 1
    end, "the client to be open")
    return client, socket, lines
  end

  local function wait_for_line(lines, line)
    testing.wait_for(function()
      return lines[#lines] == line
    end, line)
  end

  describe("a server", function()
    it("expects messages, answers and closes", function()
      local client, socket, lines = meet(testing.server({ protocols = "game" }), "game")
      assert.equal("game", socket.protocol)
      socket:send("join Ada"):send("at 3 4"):sendBytes("\0\255")
      assert.same({ "join Ada", websocket.DATA_TYPE_TEXT }, { client:expect("join Ada") })
      assert.same({ "3", "4" }, { client:expect_match("^at (%d+) (%d+)$") })
      local message, kind = client:expect(function(message, kind)
        return #message == 2 and kind == websocket.DATA_TYPE_BINARY
      end)
      assert.same({ "\0\255", websocket.DATA_TYPE_BINARY }, { message, kind })
      socket:send("ping")
      client:answer("ping", "pong", TEXT)
      wait_for_line(lines, "message pong")
      client:close(4001, "kicked")
      wait_for_line(lines, "close 4001 kicked")
      assert.equal(4001, client:expect_close(4001).code)
      assert.same({ "join Ada", "at 3 4", "\0\255", "ping" }, client.messages)
    end)

    it("skips to the message that matters", function()
      local client, socket = meet(testing.server())
      socket:send("at 1 1"):send("at 2 2"):send("shoot"):send("at 3 3")
      assert.same({ "shoot", websocket.DATA_TYPE_TEXT }, { client:skip_to("shoot") })
      client:expect("at 3 3")
      socket:send("at 4 4"):send("hit")
      assert.equal("hit", (client:skip_to(function(message)
        return not message:find("^at")
      end)))
      socket:send("at 5 5")
      local problem =
        raises('"die", but it did not come in 30 ms', client.skip_to, client, "die", 30)
      assert.matches('  the text "at 5 5"$', problem)
      socket:close()
      raises("but the connection ended with 1000", client.skip_to, client, "die")
      raises("string or function expected, got nothing", client.skip_to, client)
    end)

    it("says what came instead of what was expected, and keeps it", function()
      local client, socket = meet(testing.server())
      socket:send("hello"):send('say "\n\0"')
      client:expect("hello")
      local problem = raises("expected the message", client.expect, client, "goodbye")
      assert.matches(
        'expected the message "goodbye", but the text "say \\"\\n\\x00\\"" came',
        problem,
        1,
        true
      )
      assert.matches('before it came\n  the text "hello"', problem, 1, true)
      assert.matches(
        "testing_spec",
        raises("testing_spec", function()
          client:expect("goodbye")
        end)
      )
      raises('a message that matches "^x", but the text', client.expect_match, client, "^x")
      raises("the function takes, but", client.expect, client, function() end)
      raises("expected the end, but the text", client.expect_close, client)
      client:expect('say "\n\0"')
      raises('expected the message "x", but nothing came in 1 ms', client.expect, client, "x", 1)
      raises("was open after 1 ms", client.expect_close, client, 1000, 1)
      socket:close(3000, "enough")
      raises('but the connection ended with 3000 "enough"', client.expect, client)
      raises("expected the close code 1000, but", client.expect_close, client, 1000)
      raises("Invalid connection: the connection ended with 3000", client.send, client, "late")
      client:expect_close(3000)
    end)

    it("says that no client came, and what was refused", function()
      local server = testing.server()
      raises("expected a client, but none came in 1 ms (0 have asked", server.accept, server, 1)
      server:refuse(401, { ["WWW-Authenticate"] = "Bearer" }, "who are you?")
      local socket, lines = connect(server.url .. "/room?token=x")
      wait_for_line(lines, "close 1006 ")
      assert.same({ "error OperationError", "close 1006 " }, lines)
      assert.equal(401, socket.handshakeResponse.status)
      assert.equal("who are you?", socket.handshakeResponse.response)
      assert.equal("x", server.requests[1].query.token)
      raises("(1 have asked, 0 came before)", server.accept, server, 1)
      server:allow()
      local client = meet(server)
      assert.equal("/", client.request.path)
      client:close()
    end)

    it("lets the test's own `authorize` decide, where it refuses nobody", function()
      local server = testing.server({
        authorize = function(request)
          return request.query.token == "good" or 403
        end,
      })
      local _, lines = connect(server.url .. "/?token=bad")
      wait_for_line(lines, "close 1006 ")
      local socket = connect(server.url .. "/?token=good")
      server:accept()
      socket:close()
    end)

    it("runs a script for each client, while whoever waits has the turn", function()
      local server = testing.server(nil, function(client, request)
        client:answer("who am I?", request.path, TEXT)
        client:expect("thanks")
        client:close(4000)
      end)
      -- Straight-line code waits by itself.
      for _, path in ipairs({ "/Ada", "/Ben" }) do
        local connection = assert(websocket.open(server.url .. path))
        connection:send("who am I?")
        assert.equal(path, (connection:receive()))
        connection:send("thanks")
        local _, _, code = connection:receive()
        assert.equal(4000, code)
      end
      assert.equal(2, #server.clients)
    end)

    it("fails the test where a script raises, and where one still waits", function()
      local server = testing.server(nil, function(client)
        client:expect("hello")
      end)
      local connection = assert(websocket.open(server.url))
      connection:send("goodbye")
      raises(
        'expected the message "hello", but the binary "goodbye" came',
        testing.wait_for,
        function()
          return false
        end
      )
      local waiting = assert(websocket.open(server.url))
      waiting:disconnect()
      connection:disconnect()
      raises("the connection ended with 1000", finish)
    end)

    it("says whose script still waits", function()
      local server = testing.server(nil, function()
        testing.wait_for(function()
          return false
        end, "the king to come", 60000)
      end)
      local connection = assert(websocket.open(server.url))
      connection:disconnect()
      raises("the script of a server still waits for the king to come", finish)
    end)

    it("delays an answer", function()
      local server = testing.server(nil, function(client)
        client:expect()
        client:delay(50)
        client:send("late")
      end)
      local connection = assert(websocket.open(server.url))
      local began = websocket.now()
      connection:send("hello")
      assert.equal("late", (connection:receive()))
      assert.is_true(websocket.now() - began >= 50)
      connection:disconnect()
    end)

    it("drops a connection without a Close", function()
      local server = testing.server()
      for _, how in ipairs({ "end", "reset" }) do
        local client, _, lines = meet(server)
        local stays, other = meet(server)
        client:drop(how)
        wait_for_line(lines, "close 1006 ")
        assert.same({ "open", "error RemoteHostClosedError", "close 1006 " }, lines)
        assert.equal(1006, client:expect_close().code)
        other:send("still here")
        stays:expect("still here")
        server:drop()
        stays:expect_close(1006)
      end
    end)

    it("sends garbage", function()
      local client, _, lines = meet(testing.server())
      client:send("before", TEXT)
      client:garbage()
      wait_for_line(lines, "close 1006 ")
      assert.same({ "open", "message before", "error OperationError", "close 1006 " }, lines)
      client:expect_close(1002)
      local another, socket, seen = meet(testing.server())
      another:garbage("\129\2hi") -- a frame all the same
      wait_for_line(seen, "message hi")
      socket:close()
    end)

    -- What a client hears of such a handshake.
    local function fail(server, params)
      local failure
      websocket.connect(server.url .. "/room", params, function(_, _, data)
        failure = data.event == websocket.EVENT_ERROR and data or failure
      end)
      testing.wait_for(function()
        return failure
      end, "the handshake to fail")
      return failure
    end

    it("sends garbage in place of the handshake's answer", function()
      local server = testing.server()
      server:garbage()
      local failure = fail(server)
      assert.equal(websocket.ERROR_OPERATION, failure.error)
      assert.equal("handshake", failure.stage)
      assert.equal("/room", server.requests[1].path)
      assert.same({}, server.clients)
      server:garbage("HTTP/1.1 101 Switching Proto")
      failure = fail(server)
      assert.equal(websocket.ERROR_REMOTE_HOST_CLOSED, failure.error)
      assert.equal("handshake", failure.stage)
      server:garbage("")
      assert.equal(websocket.ERROR_REMOTE_HOST_CLOSED, fail(server).error)
      server:allow()
      local _, socket = meet(server)
      socket:close()
    end)

    it("makes the garbage of the request", function()
      local server = testing.server()
      server:garbage(function(request)
        return ("HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\n\r\n%s"):format(
          #request.path,
          request.path
        )
      end)
      local failure = fail(server)
      assert.equal(404, failure.handshake_response.status)
      assert.equal("/room", failure.handshake_response.response)
      server:garbage(function() end)
      raises(
        "the function given to `garbage` returned no answer (a string expected, got nothing)",
        fail,
        server
      )
    end)

    it("says half an answer and then nothing, until the client has waited enough", function()
      local server = testing.server()
      server:garbage("HTTP/1.1 101 Switching Proto", "silence")
      local failure = fail(server, { timeout = 100 })
      assert.equal(websocket.ERROR_SOCKET_TIMEOUT, failure.error)
      assert.equal("handshake", failure.stage)
    end)

    it("breaks into TLS by garbage", function()
      local identity = { certificate = program.path("rsa.pem"), key = program.path("rsa.key") }
      local server = testing.server({ tls = identity })
      server:garbage("HTTP/1.1 404 Not Found\r\n\r\n")
      local failure = fail(server, { tls = { dangerously_skip_verification = true } })
      assert.equal(websocket.ERROR_SSL_HANDSHAKE_FAILED, failure.error)
      assert.equal("tls", failure.stage)
      server:allow()
      local _, socket = meet(server, nil, { tls = { dangerously_skip_verification = true } })
      socket:close()
    end)

    it("is silent for a while", function()
      local client, socket, lines = meet(testing.server())
      client:network({ stalled = true })
      socket:send("hello?")
      client:send("anybody?", TEXT)
      raises("nothing came in 30 ms", client.expect, client, "hello?", 30)
      assert.same({ "open" }, lines)
      client:network()
      client:expect("hello?")
      wait_for_line(lines, "message anybody?")
      socket:close()
    end)

    it("lets a client's timeout pass", function()
      local server = testing.server()
      server:network({ stalled = true })
      local connection, problem = websocket.open(server.url, { timeout = 50 })
      assert.is_nil(connection)
      assert.matches("50 ms", problem)
    end)

    it("goes away and comes back, at the same address", function()
      local server = testing.server()
      local options = { minDelay = 1, factor = 1, jitter = false }
      local socket = websocket.ReconnectingWebSocket(server.url, nil, options)
      leaks.watch(socket)
      local failures = 0
      socket.onerror = function(event)
        failures = failures + (event.name == "ConnectionRefusedError" and 1 or 0)
      end
      server:accept()
      server:down()
      testing.wait_for(function()
        return failures >= 2
      end, "two attempts in vain")
      server:up()
      socket:send("back")
      server:accept():expect("back")
      socket:close()
    end)

    it("serves many clients", function()
      -- So many threads at once take a while on a machine that has other work.
      local params = { timeout = 30000 }
      local server = testing.server(params, function(client)
        client:answer(nil, client.request.path)
        client:expect_close()
      end)
      local connections = {}
      for i = 1, 100 do
        connections[i] = websocket.connect(
          server.url .. "/" .. i,
          params,
          function(_, connection, data)
            if data.event == websocket.EVENT_CONNECTED then
              connection:send("hello")
            elseif data.event == websocket.EVENT_MESSAGE then
              connection:disconnect()
              connections[i] = data.message
            end
          end
        )
      end
      testing.wait_for(function()
        return type(connections[100]) == "string" and #server.clients == 100
      end, "the last answer", params.timeout)
      for i = 1, 100 do
        testing.wait_for(function()
          return connections[i] == "/" .. i
        end, "the answer to " .. i, params.timeout)
      end
      for _, client in ipairs(server.clients) do
        testing.wait_for(function()
          return client.closed
        end, "the end of each", params.timeout)
      end
    end)
  end)

  describe("a network", function()
    it("is slow in both directions, or in one", function()
      local client, socket, lines = meet(testing.server())
      client:network({ latency = 20, to_client = { latency = 60, jitter = 10 } })
      local began = websocket.now()
      socket:send("ping")
      client:answer("ping", "pong", TEXT)
      wait_for_line(lines, "message pong")
      local took = websocket.now() - began
      assert.is_true(took >= 80, took)
      socket:close()
    end)

    it("has a bandwidth", function()
      local client, socket, lines = meet(testing.server(), nil, { compression = false })
      client:network({ bandwidth = 20000 })
      local began = websocket.now()
      client:send(("x"):rep(8000), TEXT)
      wait_for_line(lines, "message " .. ("x"):rep(8000))
      local took = websocket.now() - began
      assert.is_true(took >= 300, took)
      socket:close()
    end)

    it("breaks after so many bytes", function()
      local client, _, lines = meet(testing.server(), nil, { compression = false })
      client:network({ to_client = { cut_after = 2 + 5 + 3, reset = true } })
      client:send("first", TEXT)
      client:send("second", TEXT)
      wait_for_line(lines, "close 1006 ")
      assert.same({ "open", "message first", "error RemoteHostClosedError", "close 1006 " }, lines)
    end)

    it("stands before any server", function()
      local server = assert(websocket.listen({}, function(_, connection, data)
        if data.event == websocket.EVENT_MESSAGE then
          connection:send(data.message)
        end
      end))
      local relay = testing.relay(server.url:gsub("127%.0%.0%.1", "localhost"), nil)
      relay:network({ latency = 30 })
      local began = websocket.now()
      local connection = assert(websocket.open(relay.url))
      connection:send("hello")
      assert.equal("hello", (connection:receive()))
      assert.is_true(websocket.now() - began >= 120)
      relay:drop()
      local _, _, code = connection:receive()
      assert.equal(1006, code)
      server:close()
    end)

    it("keeps to what it can, and says so", function()
      local server = testing.server()
      for problem, trouble in pairs({
        ["unknown key 'latancy'; known are latency"] = { latancy = 1 },
        ["latency: milliseconds, 3600000 at most expected, got -1"] = { latency = -1 },
        ["jitter: milliseconds, 3600000 at most expected, got soon"] = { jitter = "soon" },
        ["bandwidth: bytes a second, 1 at least expected, got 0"] = { bandwidth = 0 },
        ["cut_after: a number of bytes expected, got 1.5"] = { cut_after = 1.5 },
        ["stalled: true or false expected, got 1"] = { stalled = 1 },
        ["to_client: table expected, got a number"] = { to_client = 5 },
        ["unknown key 'to_server'"] = { to_client = { to_server = {} } },
      }) do
        assert.matches(
          "testing_spec",
          raises(problem, function()
            server:network(trouble)
          end)
        )
      end
      assert.matches(
        "testing_spec",
        raises("table or nil expected, got a number", function()
          server:network(5)
        end)
      )
      raises('"end" or "reset" expected, got "sideways"', server.drop, server, "sideways")
      raises("ws:// or wss:// with an address in numbers", testing.relay, "ws://example.org/")
      raises("ws:// or wss:// with an address in numbers", testing.relay, "ws+unix:/tmp/x:/")
      raises("string expected, got nothing", testing.relay)
    end)
  end)

  describe("a clock", function()
    it("stands still until it is moved", function()
      local clock = testing.clock()
      local before = websocket.now()
      testing.wait_for(function()
        return true
      end)
      assert.equal(before, websocket.now())
      clock:advance(1500)
      assert.equal(before + 1500, websocket.now())
      assert.equal(websocket.now(), clock:now())
      assert.is_nil(clock:next())
      raises("the clock stands still already", testing.clock)
      raises("number expected, got nothing", clock.advance, clock)
      raises("milliseconds expected, got -1", clock.advance, clock, -1)
      clock:release()
      raises("this clock runs again", clock.advance, clock, 1)
    end)

    it("moves the delays of a ReconnectingWebSocket", function()
      local clock = testing.clock()
      local server = testing.server()
      local options = { minDelay = 60000, maxDelay = 240000, jitter = false, minUptime = 5000 }
      local socket = websocket.ReconnectingWebSocket(server.url, nil, options)
      leaks.watch(socket)
      local delays = {}
      socket.onclose = function(event)
        delays[#delays + 1] = event.retryIn
      end
      server:accept()
      server:down()
      for attempt, delay in ipairs({ 60000, 120000, 240000, 240000 }) do
        testing.wait_for(function()
          return #delays == attempt
        end, "attempt " .. attempt)
        assert.equal(delay, delays[attempt])
        assert.equal(delay, clock:next())
        clock:advance(delay - 1)
        assert.equal(1, clock:next())
        clock:advance(1)
        assert.is_nil(clock:next())
      end
      testing.wait_for(function()
        return #delays == 5
      end)
      server:up()
      clock:advance(240000)
      local client = server:accept()
      testing.wait_for(function()
        return socket.readyState == 1
      end)
      clock:advance(5000) -- it was up for minUptime
      client:drop()
      testing.wait_for(function()
        return #delays == 6
      end)
      assert.equal(60000, delays[6])
      socket:close()
    end)

    it("moves the timeouts of coroutines, each at its own time", function()
      local clock = testing.clock()
      local server = testing.server()
      local connection = assert(websocket.open(server.url))
      local heard = {}
      coroutine.wrap(function()
        for _, timeout in ipairs({ 100, 50 }) do
          local _, problem = connection:receive(timeout)
          heard[#heard + 1] = problem .. " at " .. clock:now()
        end
      end)()
      local began = clock:now()
      clock:advance(99)
      assert.same({}, heard)
      clock:advance(1000)
      assert.same({ "timeout at " .. began + 100, "timeout at " .. began + 150 }, heard)
      coroutine.wrap(function()
        heard[3] = connection:receive(100)
      end)()
      server:accept():send("hello")
      testing.wait_for(function()
        return heard[3]
      end)
      assert.is_nil(clock:next())
      -- Who waits outside of a coroutine, waits by the clock on the wall.
      assert.same({ nil, "timeout" }, { connection:receive(1) })
      connection:disconnect()
    end)

    it("lets what waits go on when it is released", function()
      local clock = testing.clock()
      local server = testing.server()
      local connection = assert(websocket.open(server.url))
      local problem
      coroutine.wrap(function()
        problem = select(2, connection:receive(1000))
      end)()
      clock:advance(999)
      clock:release()
      testing.wait_for(function()
        return problem == "timeout"
      end)
      connection:disconnect()
    end)

    it("cannot be moved by a callback", function()
      local clock = testing.clock()
      local server = testing.server()
      local client, socket = meet(server)
      socket.onmessage = function()
        clock:advance(1)
      end
      client:send("now")
      raises("a callback cannot move the clock", testing.wait_for, function()
        return false
      end)
      socket:close()
    end)
  end)

  describe("at the end of a test", function()
    it("raises what listeners have raised", function()
      local client, socket = meet(testing.server())
      local heard = {}
      socket.onmessage = function(event)
        heard[#heard + 1] = event.data
        error("no " .. event.data, 0)
      end
      client:send("one", TEXT)
      raises("an error in a listener: no one", client.expect, client)
      client:send("two", TEXT)
      while not heard[2] do
        websocket.wait(20)
      end
      socket:close()
      raises("an error in a listener: no two", finish)
      assert.same({ "one", "two" }, heard)
    end)

    it("gives listeners' errors back to whom they went to", function()
      finish()
      local function own() end
      websocket.onuncaughterror = own
      testing.begin()
      assert.not_equal(own, websocket.onuncaughterror)
      testing.finish()
      assert.equal(own, websocket.onuncaughterror)
      websocket.onuncaughterror = nil
    end)

    it("names what was left behind, and ends it", function()
      local server = testing.server()
      local connection = websocket.connect(server.url .. "/left", nil, function() end)
      local own = assert(websocket.listen({}, function() end))
      local options = { minDelay = 60000 }
      local dead = assert(websocket.listen({}, function() end))
      local socket = websocket.ReconnectingWebSocket(dead.url, nil, options)
      local away = false
      socket.onclose = function()
        away = true
      end
      testing.wait_for(function()
        return socket.readyState == 1
      end)
      dead:close()
      server:accept()
      testing.wait_for(function()
        return away
      end)
      local problem = raises("left behind by the test:", finish)
      assert.matches("websocket connection %d+: [^\n]*/left %(open%)", problem)
      assert.matches("websocket server %d+: " .. own.url:gsub("%p", "%%%0"), problem)
      assert.matches("a timer: a ReconnectingWebSocket that comes back", problem)
      assert.equal("closed", connection:state())
      -- What came before the test is not the test's.
      local former = assert(websocket.listen({}, function() end))
      testing.begin()
      testing.finish()
      former:close()
    end)

    it("counts threads and descriptors", function()
      local file = assert(io.open("README.md"))
      raises("descriptors: 1 more than before", testing.check_leaks)
      file:close()
    end)

    it("looks for leaks when it is told to, and not where it is told not to", function()
      local server = testing.server()
      local connection = websocket.connect(server.url, nil, function() end)
      server:accept()
      raises("websocket connection", testing.check_leaks)
      assert.equal("closed", connection:state())
      testing.begin({ leaks = false })
      local other = assert(websocket.listen({}, function() end))
      finish()
      other:close()
    end)

    it("has nothing left of its own", function()
      finish()
      local threads, descriptors = process.threads(), process.descriptors()
      testing.case(function()
        local server = testing.server()
        server:network({ stalled = true })
        testing.clock()
        testing.server()
        testing.relay(server.url)
      end)
      assert.equal(threads, process.threads())
      assert.is_true(process.descriptors() <= descriptors)
    end)

    it("fails as its body does, and ends it", function()
      finish()
      local url
      local problem = raises("the body fails", testing.case, function()
        url = testing.server().url
        error("the body fails")
      end)
      assert.matches("testing_spec", problem)
      local connection = websocket.open(url)
      assert.is_nil(connection)
      local object = {}
      local ok, raised = pcall(testing.case, function()
        error(object)
      end)
      assert.is_false(ok)
      assert.equal(object, raised)
    end)

    it("comes where the last test did not", function()
      local server = testing.server()
      local connection = websocket.connect(server.url, nil, function() end)
      server:accept()
      testing.begin()
      assert.equal("closed", connection:state())
    end)
  end)

  it("takes a game's frame into its waits", function()
    finish()
    local frames = 0
    testing.begin({
      step = function()
        frames = frames + 1
      end,
    })
    finished = false
    testing.wait_for(function()
      return frames >= 3
    end)
    finish()
    testing.begin({
      step = function()
        error("the frame fails", 0)
      end,
    })
    raises("the frame fails", testing.wait_for, function()
      return false
    end)
    testing.finish()
  end)

  it("waits for what it is told, and says for what", function()
    assert.equal(
      "value",
      testing.wait_for(function()
        return "value"
      end)
    )
    assert.matches(
      "testing_spec",
      raises("waited 1 ms for the king in vain", function()
        testing.wait_for(function() end, "the king", 1)
      end)
    )
    raises("function expected, got nothing", testing.wait_for)
    raises("milliseconds expected, got -1", testing.wait_for, function() end, "x", -1)
  end)

  it("cannot wait in a callback", function()
    local server = testing.server()
    local client, socket = meet(server)
    socket.onmessage = function()
      client:expect("never")
    end
    client:send("now")
    local text = 'a callback cannot wait for the message "never"; the script of a server can'
    raises(text, testing.wait_for, function()
      return false
    end)
    socket:close()
  end)

  it("refuses wrong arguments at the caller's line", function()
    local server = testing.server()
    local client, socket = meet(server)
    for text, call in pairs({
      ["(unknown key 'timeuot', expected one of: leaks, step, timeout)"] = function()
        testing.begin({ timeuot = 5 })
      end,
      ["bad argument #1 'options' (step: function expected, got a number)"] = function()
        testing.begin({ step = 5 })
      end,
      ["bad argument #1 'body' (function expected, got nothing)"] = function()
        testing.case()
      end,
      ["bad argument #1 'params' (table or nil expected, got a string)"] = function()
        testing.server("x")
      end,
      ["bad argument #2 'script' (function or nil expected, got a table)"] = function()
        testing.server(nil, {})
      end,
      ["params.port: the kit's server chooses that itself"] = function()
        testing.server({ port = 80 })
      end,
      ["params.max_connections"] = function()
        testing.server({ max_connections = "many" })
      end,
      ["bad argument #1 'timeout_ms' (milliseconds expected, got a string)"] = function()
        server:accept("long")
      end,
      ["bad argument #1 'status' (200 to 599 expected, got 20)"] = function()
        server:refuse(20)
      end,
      ["bad argument #1 'expected' (string, function or nil expected, got a number)"] = function()
        client:expect(5)
      end,
      ["bad argument #1 'pattern' (string expected, got nothing)"] = function()
        client:expect_match()
      end,
      ["bad argument #1 'code' (number or nil expected, got a string)"] = function()
        client:expect_close("1000")
      end,
      ["bad argument #1 'bytes' (65536 bytes at most, got 65537)"] = function()
        client:garbage(("x"):rep(65537))
      end,
      ["bad argument #1 'bytes' (a string expected, got a table)"] = function()
        server:garbage({})
      end,
      ['bad argument #2 \'after\' ("end" or "silence" expected, got "reset")'] = function()
        server:garbage("", "reset")
      end,
      ["bad argument #1 'ms' (number expected, got nothing)"] = function()
        client:delay()
      end,
      ["bad argument #2 'code'"] = function()
        client:close(999)
      end,
    }) do
      assert.matches("testing_spec", raises(text, call))
    end
    socket:close()
  end)

  it("is what library/websocket/testing.lua declares", function()
    local file = assert(io.open("library/websocket/testing.lua"))
    local library = file:read("*a")
    file:close()
    local server = testing.server()
    local client, socket = meet(server)
    local objects = { testing = testing, server = server, client = client }
    objects.relay, objects.clock = testing.relay(server.url), testing.clock()
    local count = 0
    for class, name in library:gmatch("\nfunction (%l+)[.:]([%l_]+)%(") do
      assert.is_function(objects[class][name], class .. "." .. name)
      count = count + 1
    end
    assert.equal(count, select(2, library:gsub("\nfunction ", "")))
    for name in pairs(testing) do
      assert.is_truthy(library:find("\nfunction testing." .. name .. "(", 1, true), name)
    end
    socket:close()
  end)
end)
