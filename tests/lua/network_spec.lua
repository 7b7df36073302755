local clock = require("support.clock")
local origin = require("support.origin")
local peer = require("support.peer")
local program = require("support.program")
local recorder = require("support.recorder")
local websocket = require("websocket")

local assert_failure = origin.assert_failure

describe("an answer to the handshake", function()
  local answers

  setup(function()
    answers = program.answers()
  end)

  teardown(function()
    answers:stop()
  end)

  local function url(path)
    return ("ws://127.0.0.1:%d%s"):format(answers.port, path)
  end

  it("that refuses is reported and not followed", function()
    for _, status in ipairs({ 200, 301, 302, 307, 401, 403, 404, 429, 503 }) do
      local code = websocket.ERROR_OPERATION
      local failure = assert_failure(url("/status/" .. status), nil, code, "handshake")
      assert.truthy(failure.message:find(tostring(status), 1, true), failure.message)
      local response = failure.handshake_response
      assert.are.equal(status, response.status)
      assert.are.equal("no entry", response.response)
      assert.are.equal("members only", response.headers["x-reason"])
      assert.are.equal("ws://127.0.0.1:1/", response.headers.Location)
    end
  end)

  it("comes with its body, however its length is told", function()
    for _, path in ipairs({ "/chunked", "/until-close" }) do
      local failure = assert_failure(url(path), nil, websocket.ERROR_OPERATION, "handshake")
      assert.are.equal("no entry", failure.handshake_response.response)
    end
    local failure = assert_failure(url("/long"), nil, websocket.ERROR_OPERATION, "handshake")
    assert.are.equal(("x"):rep(64 * 1024), failure.handshake_response.response)
  end)

  it("that refuses counts although its body does not end", function()
    local params = { timeout = 300 }
    local code = websocket.ERROR_OPERATION
    local failure = assert_failure(url("/slow"), params, code, "handshake")
    assert.are.equal(403, failure.handshake_response.status)
    assert.are.equal("no entry", failure.handshake_response.response)
  end)

  it("that refuses counts although the request was not read", function()
    local unwelcoming = peer.raw("unwelcoming")
    -- More than the system keeps: it is still being written when the server is gone.
    local params = { headers = { ["X-Large"] = ("x"):rep(16 * 1024 * 1024) } }
    local code = websocket.ERROR_OPERATION
    local failure = assert_failure(unwelcoming:url(), params, code, "handshake")
    assert.are.equal(401, failure.handshake_response.status)
    assert.are.equal("no entry", failure.handshake_response.response)
    unwelcoming:stop()
  end)

  it("may come byte by byte", function()
    local recorded = recorder.new({
      CONNECTED = function(connection)
        connection:disconnect()
      end,
    })
    local params = { close_timeout = 50 }
    websocket.connect(url("/trickle"), params, recorded.callback)
    recorded:wait("CONNECTED")
    recorded:wait("DISCONNECTED")
  end)

  it("that stops half way times out", function()
    local code = websocket.ERROR_SOCKET_TIMEOUT
    assert_failure(url("/half"), { timeout = 200 }, code, "handshake")
  end)

  it("that is cut after any byte is an error at once, or a timeout", function()
    local outcomes = {
      close = websocket.ERROR_REMOTE_HOST_CLOSED,
      reset = websocket.ERROR_REMOTE_HOST_CLOSED,
      stall = websocket.ERROR_SOCKET_TIMEOUT,
    }
    local pending, failures = 0, {}
    for how, code in pairs(outcomes) do
      for length = 0, 128 do
        pending = pending + 1
        local path = ("/cut/%d/%s"):format(length, how)
        local params = { timeout = how == "stall" and 300 or 15000 }
        websocket.connect(url(path), params, function(_, _, data)
          if data.event == websocket.EVENT_DISCONNECTED then
            pending = pending - 1
          elseif data.error ~= code then
            failures[#failures + 1] = path .. ": " .. data.message
          end
        end)
        clock.drive(function()
          return pending < 64
        end, recorder.step, "room for more")
      end
    end
    clock.drive(function()
      return pending == 0
    end, recorder.step, "the end of all", 60)
    assert.are.same({}, failures)
  end)
end)

describe("keepalive", function()
  local PING = { ping_interval = 100, ping_timeout = 300 }

  it("measures the round trip", function()
    local server = peer.start("python")
    local recorded = recorder.new()
    local connection = websocket.connect(server:url("/echo"), PING, recorded.callback)
    recorded:wait("CONNECTED")
    connection:send("hello")
    recorded:wait("MESSAGE")
    clock.drive(function()
      return connection:stats().rtt
    end, recorder.step, "a pong")
    local stats = connection:stats()
    assert.is_true(stats.rtt_min <= stats.rtt and stats.rtt < 10000)
    assert.are.same({ 1, 1 }, { stats.messages_sent, stats.messages_received })
    connection:disconnect()
    recorded:wait("DISCONNECTED")
    server:stop()
  end)

  it("notices a stopped peer in interval and timeout", function()
    local server = peer.start("python")
    local recorded = recorder.new()
    websocket.connect(server:url("/echo"), PING, recorded.callback)
    recorded:wait("CONNECTED")
    os.execute("kill -STOP " .. server.pid)
    local took = clock.milliseconds(function()
      recorded:wait("DISCONNECTED")
    end)
    os.execute("kill -CONT " .. server.pid)
    local failure = recorded:find("ERROR")
    assert.are.equal("ping timeout", failure.message)
    assert.are.equal(websocket.ERROR_SOCKET_TIMEOUT, failure.error)
    assert.are.equal("open", failure.stage)
    assert.are.equal(1006, recorded:find("DISCONNECTED").code)
    assert.is_true(took < PING.ping_interval + PING.ping_timeout + 10000, took)
    server:stop()
  end)

  it("notices a link that was cut", function()
    if not (program.installed("ip") and program.has_namespaces()) then
      return pending("there are no network namespaces for us, or no ip")
    end
    local output = program.lua(
      [[
        os.execute("ip link set lo up")
        local websocket = require("websocket")
        local server = assert(websocket.listen({}, function() end))
        local params = { ping_interval = 100, ping_timeout = 300 }
        websocket.connect(server.url, params, function(_, _, data)
          if data.event == websocket.EVENT_CONNECTED then
            os.execute("ip link set lo down")
          elseif data.event == websocket.EVENT_ERROR then
            io.write(data.message, " ", data.stage, " ")
          else
            io.write(data.code)
            os.exit(0, true)
          end
        end)
        websocket.run()
      ]],
      "unshare --map-root-user --net"
    )
    assert.are.equal("ping timeout open 1006", output)
  end)

  it("is patient while a large message arrives", function()
    local answers = program.answers()
    local recorded = recorder.new()
    local url = ("ws://127.0.0.1:%d/large"):format(answers.port)
    local params = { ping_interval = 50, ping_timeout = 200, close_timeout = 50 }
    local connection = websocket.connect(url, params, recorded.callback)
    assert.are.equal(1048576, #recorded:wait("MESSAGE").message)
    connection:disconnect()
    recorded:wait("DISCONNECTED")
    answers:stop()
  end)
end)

describe("a cause of failure has its number:", function()
  it("no way to connect", function()
    local refused = ("ws://127.0.0.1:%d/"):format(peer.closed_port())
    local code = websocket.ERROR_CONNECTION_REFUSED
    local failure = assert_failure(refused, nil, code, "connect")
    assert.truthy(failure.message:find("127.0.0.1", 1, true), failure.message)
    code = websocket.ERROR_HOST_NOT_FOUND
    assert_failure("ws://nobody.invalid/", nil, code, "resolve")
    code = websocket.ERROR_UNSUPPORTED_SOCKET_OPERATION
    assert_failure("ftp://127.0.0.1/", nil, code, "resolve")
  end)

  it("silence", function()
    for mode, stage in pairs({ blackhole = "connect", silent = "handshake" }) do
      local raw = peer.raw(mode)
      local failure =
        assert_failure(raw:url(), { timeout = 100 }, websocket.ERROR_SOCKET_TIMEOUT, stage)
      assert.truthy(failure.message:find("'" .. stage .. "'", 1, true), failure.message)
      raw:stop()
    end
  end)

  it("no descriptor left", function()
    local output = program.lua(
      [[
        local websocket = require("websocket")
        local files = {}
        repeat
          local file = io.open("/dev/null")
          files[#files + 1] = file
        until not file
        local function try(free)
          for _ = 1, free do
            table.remove(files):close()
          end
          websocket.connect("ws://127.0.0.1:9/", nil, function(_, _, data)
            if data.event == websocket.EVENT_ERROR then
              io.write(tostring(data.error == websocket.ERROR_SOCKET_RESOURCE), " ")
            end
          end)
          websocket.run()
        end
        try(0)
        try(2)
      ]],
      "ulimit -n 64;"
    )
    assert.are.equal("true true ", output)
  end)

  it("no thread left", function()
    if not program.has_limited_user() then
      return pending("we cannot be another user")
    end
    -- One for `timeout`, one for the interpreter.
    local output = program.lua(
      [[
        local websocket = require("websocket")
        websocket.connect("ws://127.0.0.1:9/", nil, function(_, _, data)
          if data.event == websocket.EVENT_ERROR then
            io.write(tostring(data.error == websocket.ERROR_SOCKET_RESOURCE), " ", data.message)
          end
        end)
        websocket.run()
      ]],
      program.limited_user(2)
    )
    assert.truthy(output:find("^true .*cannot start a thread"), output)
  end)

  it("no route, or a forbidden one", function()
    if not (program.installed("ip") and program.has_namespaces()) then
      return pending("there are no network namespaces for us, or no ip")
    end
    local output = program.lua(
      [[
        os.execute("ip link set lo up; ip route add prohibit 203.0.113.0/24")
        local websocket = require("websocket")
        for address, code in pairs({
          ["203.0.113.1"] = websocket.ERROR_SOCKET_ACCESS,
          ["192.0.2.1"] = websocket.ERROR_NETWORK,
        }) do
          websocket.connect("ws://" .. address .. "/", nil, function(_, _, data)
            if data.event == websocket.EVENT_ERROR then
              io.write(tostring(data.error == code and data.stage == "connect"), " ")
            end
          end)
        end
        websocket.run()
      ]],
      "unshare --map-root-user --net"
    )
    assert.are.equal("true true ", output)
  end)

  it("nowhere to listen", function()
    local first = assert(websocket.listen({}, function() end))
    local function listen(host, port)
      local server, message, code = websocket.listen({ host = host, port = port }, function() end)
      assert.is_nil(server)
      assert.truthy(message:find(host, 1, true), message)
      return code
    end
    assert.are.equal(websocket.ERROR_ADDRESS_IN_USE, listen("127.0.0.1", first.port))
    assert.are.equal(websocket.ERROR_SOCKET_ADDRESS_NOT_AVAILABLE, listen("192.0.2.1", 0))
    assert.are.equal(websocket.ERROR_HOST_NOT_FOUND, listen("nobody.invalid", 0))
    first:close()
    recorder.step()
  end)
end)
