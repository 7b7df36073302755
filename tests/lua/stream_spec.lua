-- Straight-line code: `open`, `receive` and `messages`, in coroutines and outside.
local clock = require("support.clock")
local leaks = require("support.leaks")
local peer = require("support.peer")
local process = require("support.process")
local raises = require("support.raises")
local sockets = require("support.sockets")
local websocket = require("websocket")

local drive, serve = sockets.drive, sockets.serve
local TEXT = { type = websocket.DATA_TYPE_TEXT }

describe("straight-line code", function()
  before_each(sockets.begin)
  after_each(sockets.close_all)

  local function open(url, params)
    local connection = assert(websocket.open(url, params))
    leaks.watch(connection)
    return connection
  end

  -- Runs the functions as coroutines until all have ended.
  local function run(functions)
    local ended = 0
    for _, body in ipairs(functions) do
      local thread = coroutine.create(function()
        body()
        ended = ended + 1
      end)
      assert(coroutine.resume(thread))
    end
    drive(function()
      return ended == #functions
    end, "the end of the coroutines")
  end

  -- Each behaves the same in a coroutine and outside.
  local function it_both(name, body)
    it(name .. ", outside a coroutine", body)
    it(name .. ", in a coroutine", function()
      run({ body })
    end)
  end

  it_both("opens, sends, receives and closes", function()
    local connection = open(serve({ protocols = "chat" }).url, { protocol = "chat" })
    assert.equal("open", connection:state())
    assert.equal("chat", connection.protocol)
    connection:send("hello", TEXT)
    connection:send("\0\255")
    local message, kind = connection:receive()
    assert.equal("hello", message)
    assert.equal(websocket.DATA_TYPE_TEXT, kind)
    message, kind = connection:receive(10000)
    assert.equal("\0\255", message)
    assert.equal(websocket.DATA_TYPE_BINARY, kind)
    connection:disconnect(3000, "done")
    assert.same({ nil, "done", 3000 }, { connection:receive() })
    assert.same({ nil, "done", 3000 }, { connection:receive() })
  end)

  it_both("gets nil, the error's text and number where it cannot connect", function()
    local gone = websocket.WebSocketServer()
    gone:close()
    local connection, message, code = websocket.open(gone.url)
    assert.is_nil(connection)
    assert.matches("refused", message)
    assert.equal(websocket.ERROR_CONNECTION_REFUSED, code)
    connection, message, code = websocket.open("no URL")
    assert.is_nil(connection)
    assert.matches("URL", message)
    assert.is_number(code)
  end)

  it_both("times out, and receives later what comes later", function()
    local connection = open(serve().url)
    local message, reason
    local took = clock.milliseconds(function()
      message, reason = connection:receive(60)
    end)
    assert.is_nil(message)
    assert.equal("timeout", reason)
    assert.is_true(took >= 58, ("it took %.1f ms"):format(took))
    assert.same({ nil, "timeout" }, { connection:receive(0) })
    connection:send("x")
    assert.equal("x", (connection:receive(10000)))
    connection:disconnect()
    assert.same({ nil, "", 1000 }, { connection:receive(10000) })
  end)

  local function iterate()
    local server = serve()
    server.onconnection = function(socket)
      for i = 1, 10 do
        socket:send(i, i % 2 == 0 and "binary")
      end
      socket:close(3000, "that was all")
    end
    local connection = open(server.url)
    local got = {}
    for message, kind in connection:messages() do
      got[#got + 1] = message .. ":" .. kind
    end
    assert.equal("1:1 2:2 3:1 4:2 5:1 6:2 7:1 8:2 9:1 10:2", table.concat(got, " "))
    assert.same({ nil, "that was all", 3000 }, { connection:receive() })
  end

  it("iterates over messages until the connection closes, outside a coroutine", iterate)

  -- Lua 5.1 calls an iterator through C, where nothing can yield.
  if _VERSION ~= "Lua 5.1" or jit then
    it("iterates over messages until the connection closes, in a coroutine", function()
      run({ iterate })
    end)
  else
    it("says in a coroutine that Lua 5.1 cannot iterate over messages there", function()
      run({
        function()
          local connection = open(serve().url)
          local ok, err = pcall(connection.messages, connection)
          assert.is_false(ok)
          assert.matches("receive", err)
          connection:disconnect()
          assert.equal(1000, select(3, connection:receive()))
        end,
      })
    end)
  end

  it_both("hears the error's text where the connection breaks", function()
    local python = peer.start("python")
    local connection = open(python:url("/drop"))
    connection:send("x")
    local message, reason, code = connection:receive()
    python:stop()
    assert.is_nil(message)
    assert.is_true(#reason > 0)
    assert.equal(1006, code)
  end)

  it_both("keeps in order what arrives while nobody waits", function()
    local python = peer.start("python")
    local connection = open(python:url("/flood?count=1000&size=10"))
    clock.poll(function()
      return connection:stats().messages_received == 1000
    end)
    for i = 1, 1000 do
      assert.equal(i, tonumber((connection:receive())))
    end
    connection:disconnect()
    connection:receive()
    python:stop()
  end)

  it_both("leaves the script's params as they are", function()
    local params = { max_receive_queue = 1000 }
    local connection = open(serve().url, params)
    assert.same({ max_receive_queue = 1000 }, params)
    connection:disconnect()
    connection:receive()
  end)

  it("runs a hundred coroutines with a connection each", function()
    -- So many threads at once take a while on a machine that has other work.
    local server = serve({ timeout = 30000 })
    local bodies = {}
    local most, now = 0, 0
    for i = 1, 100 do
      bodies[i] = function()
        local connection = open(server.url, { timeout = 30000 })
        now = now + 1
        most = math.max(most, now)
        for j = 1, 10 do
          connection:send(("%d of %d"):format(j, i), TEXT)
          assert.equal(("%d of %d"):format(j, i), (connection:receive()))
        end
        while now < 100 and most < 100 do -- until all are open
          connection:receive(10)
        end
        connection:disconnect()
        assert.same({ nil, "", 1000 }, { connection:receive() })
        now = now - 1
      end
    end
    run(bodies)
    assert.equal(100, most)
  end)

  it("lets a coroutine's error leave `update`, with both tracebacks", function()
    local connection
    local thread = coroutine.create(function()
      connection = open(serve().url)
      error("on purpose")
    end)
    assert(coroutine.resume(thread))
    local ok, err
    clock.poll(function()
      ok, err = pcall(websocket.wait, 100)
      return not ok
    end)
    assert.matches("stream_spec%.lua:%d+: on purpose", err)
    assert.matches("stream_spec%.lua:%d+: in function", err)
    connection:disconnect()
    assert.same({ nil, "", 1000 }, { connection:receive() })
  end)

  it("passes an error value that is no string as it is", function()
    local connection
    local value = {}
    assert(coroutine.resume(coroutine.create(function()
      connection = open(serve().url)
      error(value)
    end)))
    local ok, err
    clock.poll(function()
      ok, err = pcall(websocket.wait, 100)
      return not ok
    end)
    assert.equal(value, err)
    connection:disconnect()
    connection:receive()
  end)

  it("is not misled by a scheduler that resumes a coroutine too early", function()
    local server = serve()
    local result
    local thread = coroutine.create(function()
      local connection = open(server.url)
      connection:send("x")
      result = connection:receive()
      connection:disconnect()
      connection:receive()
    end)
    assert(coroutine.resume(thread))
    drive(function()
      if coroutine.status(thread) == "suspended" then
        assert(coroutine.resume(thread))
      end
      return coroutine.status(thread) == "dead"
    end)
    assert.equal("x", result)
  end)

  it("refuses a second coroutine that waits for the same connection", function()
    local connection = open(serve().url)
    local thread = coroutine.create(function()
      return connection:receive()
    end)
    assert(coroutine.resume(thread))
    local ok, err
    assert(coroutine.resume(coroutine.create(function()
      ok, err = pcall(connection.receive, connection)
    end)))
    assert.is_false(ok)
    assert.matches("another coroutine", err)
    connection:disconnect()
    drive(function()
      return coroutine.status(thread) == "dead"
    end)
  end)

  -- Who received for 100 ms before and never will: neither its time nor a message that comes is
  -- its business, nor does it keep another coroutine from waiting.
  local function check_is_free(connection)
    local message, reason, took
    run({
      function()
        message = connection:receive(10000)
        took = clock.milliseconds(function()
          reason = select(2, connection:receive(300))
        end)
      end,
      function()
        connection:send("one")
      end,
    })
    assert.same({ "one", "timeout" }, { message, reason })
    assert.is_true(took >= 298, ("it took %.1f ms"):format(took))
    connection:disconnect()
    connection:receive()
  end

  -- Later ones can be asked whether they can yield.
  if not coroutine.isyieldable then
    it("leaves nothing behind where Lua cannot yield", function()
      local connection = open(serve().url)
      local resumed_with
      local thread = coroutine.create(function()
        local ok, problem = pcall(table.sort, { 1, 2 }, function()
          connection:receive(100)
        end)
        assert.is_false(ok)
        assert.matches("attempt to yield across", problem)
        resumed_with = coroutine.yield("for somebody else")
      end)
      assert.same({ true, "for somebody else" }, { coroutine.resume(thread) })
      check_is_free(connection)
      assert.equal("suspended", coroutine.status(thread))
      assert(coroutine.resume(thread, "by its owner"))
      assert.equal("by its owner", resumed_with)
    end)
  end

  if coroutine.close then
    it("is free again when the coroutine that waited was closed", function()
      local connection = open(serve().url)
      local thread = coroutine.create(function()
        connection:receive(100)
      end)
      assert(coroutine.resume(thread))
      assert(coroutine.close(thread))
      check_is_free(connection)
    end)
  end

  it("ends for who receives where an error took the end away", function()
    local connection = open(serve().url)
    connection:disconnect()
    local is_struck = false
    debug.sethook(function()
      local info = debug.getinfo(2, "S")
      if connection:state() == "closed" and info.source == "=websocket.stream" then
        debug.sethook()
        is_struck = true
        error("a hook's", 0)
      end
    end, "", 1)
    clock.poll(function()
      pcall(websocket.wait, 100)
      return is_struck
    end)
    debug.sethook()
    assert.same({ nil, "", 1006 }, { connection:receive() })
  end)

  it("refuses to wait in a callback, where nothing would ever come", function()
    local server = serve()
    local message
    server.onconnection = function()
      local _, err = pcall(websocket.open, server.url)
      message = err
    end
    local socket = sockets.open(server.url)
    drive(function()
      return message
    end)
    assert.matches("callback", message)
    socket:close()
  end)

  it("may start a coroutine in a callback", function()
    local server = serve()
    local got
    server.onconnection = function(socket, request)
      if request.path == "/first" then
        coroutine.wrap(function()
          local connection = open(server.url .. "/second")
          got = connection:receive()
          connection:disconnect()
          connection:receive()
        end)()
      else
        socket:send("for the second")
      end
    end
    sockets.open(server.url .. "/first")
    drive(function()
      return got
    end)
    assert.equal("for the second", got)
  end)

  it("raises for a connection that has a callback of its own", function()
    local ended
    local connection = websocket.connect(serve().url, nil, function(_, _, data)
      ended = data.event == websocket.EVENT_DISCONNECTED
    end)
    assert.has_error(function()
      connection:receive()
    end)
    assert.has_error(function()
      connection:messages()
    end)
    connection:disconnect()
    drive(function()
      return ended
    end)
  end)

  it("holds back a peer that sends faster than the script receives", function()
    local python = peer.start("python")
    local count, size, limit = 2000, 100000, 4 * 1024 * 1024
    local target = python:url(("/flood?count=%d&size=%d"):format(count, size))
    local connection = open(target, { max_receive_queue = limit, compression = false })
    collectgarbage()
    local before = process.resident()
    local received
    -- Nobody receives: what arrives stops growing.
    clock.poll(function()
      websocket.wait(20)
      local last = received
      received = connection:stats().messages_received
      return last == received and received > 0
    end)
    assert.is_true(received < count / 2, received .. " messages were read")
    local grown = process.resident() - before
    assert.is_true(grown < limit * 3, ("%d bytes more"):format(grown))
    for i = 1, count do
      local message = connection:receive()
      assert.equal(i, tonumber(message:sub(1, 10)))
    end
    connection:disconnect()
    connection:receive()
    python:stop()
  end)

  it("leaves no timer behind when a message comes before the time is over", function()
    local connection = open(serve().url)
    run({
      function()
        for i = 1, 20 do
          connection:send(tostring(i))
          assert.equal(tostring(i), (connection:receive(600000)))
        end
      end,
    })
    connection:disconnect()
    assert.equal(1000, select(3, connection:receive()))
  end)

  it("waits with a timeout in 50 coroutines, at the cost of no thread", function()
    local server = serve()
    local connections, bodies = {}, {}
    for i = 1, 50 do
      connections[i] = open(server.url, { timeout = 20000 })
    end
    local threads, most = process.threads(), 0
    for i = 1, 50 do
      bodies[i] = function()
        assert.same({ nil, "timeout" }, { connections[i]:receive(50) })
        assert.same({ nil, "timeout" }, { connections[i]:receive(50) })
        connections[i]:disconnect()
        connections[i]:receive()
      end
    end
    for i = 1, 50 do
      local thread = coroutine.create(bodies[i])
      assert(coroutine.resume(thread))
      most = math.max(most, process.threads())
    end
    drive(function()
      for i = 1, 50 do
        if connections[i]:state() ~= "closed" then
          return false
        end
      end
      return true
    end)
    assert.is_true(most <= threads, ("%d threads, %d before"):format(most, threads))
  end)

  it("raises where a scheduler resumes it over and over and nobody calls update", function()
    local connection = open(serve().url)
    for _, call in ipairs({
      function()
        websocket.open(serve().url)
      end,
      function()
        connection:receive()
      end,
    }) do
      local thread = coroutine.create(call)
      local deadline = clock.now() + 20
      local ok, problem
      repeat
        ok, problem = coroutine.resume(thread)
        assert.is_true(clock.now() < deadline, "it goes on for ever")
      until not ok
      assert.matches("stream_spec%.lua:%d+: .*websocket%.update", problem)
    end
    drive(function()
      return true
    end)
    connection:disconnect()
    connection:receive()
  end)

  it("lets a scheduler resume it as often as it likes, where somebody calls update", function()
    local connection = open(serve().url)
    local received
    local thread = coroutine.create(function()
      received = connection:receive()
    end)
    local began, resumes = clock.now(), 0
    repeat
      assert(coroutine.resume(thread))
      resumes = resumes + 1
      if resumes % 10000 == 0 then
        websocket.update()
      end
    until clock.now() - began > 1.5
    connection:send("x")
    drive(function()
      return coroutine.status(thread) == "dead"
    end)
    assert.equal("x", received)
    connection:disconnect()
    connection:receive()
  end)

  it("raises misuse at the caller's line", function()
    local connection = open(serve().url)
    local function message_at_this_line(text, call)
      local line = debug.getinfo(2, "l").currentline
      local message = raises(text, call)
      local named = tonumber(message:match("stream_spec%.lua:(%d+):"))
      assert.is_truthy(named and named >= line and named <= line + 3, message)
    end
    -- luacheck: push no max line length
    -- stylua: ignore start
    message_at_this_line("bad argument #1 'url' (string expected, got table)", function() local a = websocket.open({}) return a end)
    message_at_this_line("params.max_receive_queue must be", function() local a = websocket.open("ws://localhost", { max_receive_queue = {} }) return a end)
    message_at_this_line("params.max_receive_queue must be", function() local a = websocket.open("ws://localhost", { max_receive_queue = -1 }) return a end)
    message_at_this_line("params.timeout must be", function() local a = websocket.open("ws://localhost", { timeout = "x" }) return a end)
    message_at_this_line("bad argument #1 'timeout_ms'", function() local a = connection:receive("x") return a end)
    message_at_this_line("bad argument #1 'timeout_ms'", function() local a = connection:receive(0 / 0) return a end)
    -- stylua: ignore end
    -- luacheck: pop
    connection:disconnect()
    connection:receive()
  end)
end)
