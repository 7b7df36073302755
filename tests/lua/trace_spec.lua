-- What a connection tells of itself: by params.trace, as text, and as a HAR.
local clock = require("support.clock")
local leaks = require("support.leaks")
local origin = require("support.origin")
local peer = require("support.peer")
local process = require("support.process")
local program = require("support.program")
local raises = require("support.raises")
local recorder = require("support.recorder")
local websocket = require("websocket")

local TEXT = { type = websocket.DATA_TYPE_TEXT }

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

-- A path that nothing is at, and that nothing is left at.
local function with_file(run)
  local path = os.tmpname()
  os.remove(path)
  local ok, problem = pcall(run, path)
  os.remove(path)
  assert(ok, problem)
end

-- A trace that keeps its entries.
local function collector()
  local entries = {}
  return entries, function(entry)
    entries[#entries + 1] = entry
  end
end

local function select_stage(entries, stage)
  local selected = {}
  for _, entry in ipairs(entries) do
    if entry.stage == stage then
      selected[#selected + 1] = entry
    end
  end
  return selected
end

-- The stages in order, of many frames in a row one.
local function stages(entries)
  local names = {}
  for _, entry in ipairs(entries) do
    if not (entry.stage == "frame" and names[#names] == "frame") then
      names[#names + 1] = entry.stage
    end
  end
  return table.concat(names, " ")
end

-- Looks for a text in all that is in a value.
local function holds(value, text, seen)
  seen = seen or {}
  if type(value) == "string" then
    return value:find(text, 1, true) ~= nil
  elseif type(value) ~= "table" or seen[value] then
    return false
  end
  seen[value] = true
  for key, inner in pairs(value) do
    if key ~= "connection" and (holds(key, text, seen) or holds(inner, text, seen)) then
      return true
    end
  end
  return false
end

local function wait_for(entries, stage)
  clock.drive(function()
    return #select_stage(entries, stage) > 0
  end, recorder.step, stage .. " after " .. stages(entries))
end

describe("params.trace", function()
  local server

  local function serve(params, callback)
    server = assert(websocket.listen(params or {}, callback or function(_, connection, data)
      if data.event == websocket.EVENT_MESSAGE then
        connection:send(data.message, { type = data.type })
      end
    end))
    return server
  end

  after_each(function()
    if server then
      server:close()
      server = nil
    end
  end)

  it("tells of each stage, of a session through a proxy with TLS", function()
    if not (program.installed("squid") and program.installed("nginx")) then
      return pending("squid or nginx is not installed")
    end
    local target = origin.start()
    local squid = program.squid([[
auth_param basic program /usr/lib/squid/basic_ncsa_auth @DIRECTORY@/passwords
acl known proxy_auth REQUIRED
http_access allow known
hosts_file @DIRECTORY@/hosts]])
    local entries, trace = collector()
    local url = target:url("rsa.localhost"):gsub("//", "//name:hushhush@") .. "?token=quiet&room=5"
    local messages = {}
    local recorded = recorder.new({
      CONNECTED = function(connection)
        connection:send(("again and "):rep(100), TEXT)
        connection:send("\0\1\255")
      end,
      MESSAGE = function(connection, data)
        messages[#messages + 1] = data.message
        if #messages == 2 then
          connection:disconnect(1000, "enough")
        end
      end,
    })
    websocket.connect(url, {
      trace = trace,
      timeout = 15000,
      linger = true,
      headers = { Cookie = "session=silent", ["X-Room"] = "5" },
      proxy = "http://user:p%40ss@127.0.0.1:" .. squid.port,
      tls = { ca = program.path("root.pem") },
    }, recorded.callback)
    recorded:wait("DISCONNECTED")
    squid:stop()
    target:stop()

    assert.equal("begin proxy tls handshake handshake frame close", stages(entries))
    for _, secret in ipairs({
      "hushhush",
      "quiet",
      "silent",
      "p%40ss",
      "p@ss",
      "dXNlcjpw",
      "bmFtZT",
    }) do
      assert.is_false(holds(entries, secret), secret)
    end
    local begin, proxy, tls, request, response =
      entries[1], entries[2], entries[3], entries[4], entries[5]
    assert.truthy(begin.url:find("^wss://%*%*%*@rsa%.localhost:%d+/echo%?token=%*%*%*&room=5$"))
    assert.equal("127.0.0.1:" .. squid.port, proxy.address)
    assert.equal("rsa.localhost:" .. target.nginx.port, proxy.target)
    assert.equal("rsa.localhost", tls.host)
    assert.equal("/echo?token=***&room=5", request.request.path)
    assert.equal("5", request.request.headers["x-room"])
    assert.equal("***", request.request.headers.cookie)
    assert.equal("***", request.request.headers.Authorization)
    assert.equal(101, response.response.status)
    assert.equal("websocket", response.response.headers.upgrade:lower())
    local last = 0
    for _, entry in ipairs(entries) do
      assert.is_true(entry.time >= last, entry.text)
      last = entry.time
      assert.is_true(math.abs(entry.at - os.time()) < 600, entry.text)
      assert.truthy(entry.connection)
    end
    for _, entry in ipairs({ proxy, tls, response }) do
      assert.is_true(entry.took >= 0 and entry.took <= entry.time, entry.text)
    end

    local frames = select_stage(entries, "frame")
    local sent, received = frames[1], nil
    for _, frame in ipairs(frames) do
      received = received or frame.direction == "received" and frame
    end
    for _, frame in ipairs({ sent, received }) do
      assert.same({ 1, true, true, 1000, "text", true }, {
        frame.opcode,
        frame.fin,
        frame.compressed,
        frame.size,
        frame.kind,
        frame.cut,
      })
      assert.is_true(frame.length < 200, "compressed")
      assert.equal(("again and "):rep(100):sub(1, 128), frame.payload)
      assert.truthy(frame.text:find("again and again", 1, true))
    end
    assert.equal("\0\1\255", frames[2].payload)
    assert.truthy(frames[2].text:find("\\x00\\x01\\xff", 1, true), frames[2].text)
    local close = entries[#entries]
    assert.same({ 1000, true, "sent" }, { close.code, close.clean, close.direction })
  end)

  it("tells of a frame before its message, of pings, and of what was sent", function()
    serve({ compression = false })
    local told = {}
    local connection = websocket.connect(server.url, {
      ping_interval = 20,
      linger = true,
      trace = function(entry)
        if entry.stage == "frame" then
          local payload = entry.kind and entry.payload or ""
          told[#told + 1] = ("%s %d %s"):format(entry.direction, entry.opcode, payload)
        end
      end,
    }, function(_, connection, data)
      if data.event == websocket.EVENT_CONNECTED then
        for i = 1, 3 do
          connection:send(tostring(i), TEXT)
        end
      elseif data.event == websocket.EVENT_MESSAGE then
        told[#told + 1] = "message " .. data.message
      end
    end)
    local function find(line)
      for index, text in ipairs(told) do
        if text == line then
          return index
        end
      end
    end
    clock.drive(function()
      return find("message 3") and find("sent 9 ") and find("received 10 ")
    end, recorder.step, "messages and a pong")
    for i = 1, 3 do
      local before = find("received 1 " .. i)
      assert.truthy(find("sent 1 " .. i) < before)
      assert.equal("message " .. i, told[before + 1])
    end
    connection:disconnect()
    clock.drive(function()
      return connection:state() == "closed"
    end, recorder.step, "the end")
    assert.truthy(find("sent 8 ") < find("received 8 "))
  end)

  it("goes on behind the end of a connection that the script has left", function()
    serve()
    local entries, trace = collector()
    local recorded = recorder.new({
      CONNECTED = function(connection)
        connection:disconnect(4000, "left")
      end,
    })
    websocket.connect(server.url, { trace = trace }, recorded.callback)
    recorded:wait("DISCONNECTED")
    wait_for(entries, "close")
    local frames, close = select_stage(entries, "frame"), entries[#entries]
    assert.equal(8, frames[#frames].opcode)
    assert.same({ "close", 4000, true }, { close.stage, close.code, close.clean })
    assert.equal("sent", close.direction)
  end)

  it("tells why a connection failed", function()
    local entries, trace = collector()
    local port = peer.closed_port()
    origin.visit("ws://127.0.0.1:" .. port, { trace = trace })
    wait_for(entries, "close")
    assert.equal("begin resolve error close", stages(entries))
    local failure, close = entries[3], entries[4]
    assert.same(
      { "connect", websocket.ERROR_CONNECTION_REFUSED },
      { failure.during, failure.error }
    )
    assert.same({ 1006, false }, { close.code, close.clean })
    assert.is_nil(close.direction)

    entries, trace = collector()
    serve({
      authorize = function()
        return 401, { ["WWW-Authenticate"] = "Bearer" }, "who?"
      end,
    })
    origin.visit(server.url, { trace = trace })
    wait_for(entries, "close")
    assert.equal("begin resolve connect handshake handshake error close", stages(entries))
    assert.equal(401, entries[5].response.status)
    assert.equal("Bearer", entries[5].response.headers["WWW-Authenticate"])

    entries, trace = collector()
    origin.visit("ws://me:hushhush@", { trace = trace })
    wait_for(entries, "close")
    assert.equal("begin error close", stages(entries))
    assert.is_false(holds(entries, "hushhush"))
  end)

  it("tells what waits for whom", function()
    -- What is sent before the client has paused may be there already.
    serve({}, function(_, connection, data)
      if data.event == websocket.EVENT_MESSAGE then
        for _ = 1, 20 do
          connection:send(("x"):rep(1024))
        end
      end
    end)
    local entries, trace = collector()
    local recorded = recorder.new({
      CONNECTED = function(connection)
        connection:pause()
        connection:send("go on")
      end,
    })
    local params = { trace = trace, linger = true }
    local connection = websocket.connect(server.url, params, recorded.callback)
    wait_for(entries, "stall")
    local stall = select_stage(entries, "stall")[1]
    assert.same({ "received", "paused" }, { stall.direction, stall.cause })
    connection:resume()
    wait_for(entries, "resume")
    assert.is_true(select_stage(entries, "resume")[1].took > 0)
    recorded:wait("MESSAGE", 20)
    connection:disconnect()
    recorded:wait("DISCONNECTED")
  end)

  it("leaves out what is too much, and says how much that was", function()
    local count = 500
    serve({}, function(_, connection, data)
      if data.event == websocket.EVENT_CONNECTED then
        for i = 1, count do
          connection:send(tostring(i), TEXT)
        end
        connection:disconnect()
      end
    end)
    local entries, trace = collector()
    local recorded = recorder.new()
    local params = { trace = { entry = trace, max_queue = 8192, payload = 2 }, compression = false }
    websocket.connect(server.url, params, recorded.callback)
    recorded:wait("CONNECTED")
    local events = #entries
    -- Nothing is delivered meanwhile; then all messages are, and one update later the rest.
    recorded:wait("DISCONNECTED")
    assert.equal(count, recorded:count("MESSAGE"))
    local dropped, frames = 0, 0
    for _, entry in ipairs(entries) do
      dropped = dropped + (entry.stage == "dropped" and entry.count or 0)
      if entry.stage == "frame" then
        frames = frames + 1
        assert.is_true(#entry.payload <= 2)
      end
    end
    assert.is_true(dropped > 0, stages(entries))
    -- All messages, and a Close in each direction.
    assert.equal(count + 2, frames + dropped)
    assert.equal("close", entries[#entries].stage)
    assert.is_true(events > 0)
  end)

  it("raises from update, and goes on", function()
    serve()
    local names = {}
    local recorded = recorder.new()
    websocket.connect(server.url, {
      trace = function(entry)
        names[#names + 1] = entry.stage
        if entry.stage == "connect" then
          error("not mine")
        end
      end,
    }, recorded.callback)
    local raised
    clock.drive(function()
      return raised and recorded:count("CONNECTED") > 0
    end, function()
      local ok, problem = pcall(websocket.wait, 50)
      raised = raised or not ok and problem
    end, "the error")
    assert.truthy(raised:find("not mine", 1, true), raised)
    assert.equal("begin resolve connect handshake handshake", table.concat(names, " "))
  end)

  it("hands errors of a browser-style socket's trace to onuncaughterror", function()
    serve()
    local problems, kept = {}, websocket.onuncaughterror
    websocket.onuncaughterror = function(problem)
      problems[#problems + 1] = problem
    end
    local socket = websocket.WebSocket(server.url, nil, {
      trace = function()
        error("not mine")
      end,
    })
    clock.drive(function()
      return socket.readyState == 1
    end, recorder.step, "the socket")
    socket:close()
    clock.drive(function()
      return socket.readyState == 3
    end, recorder.step, "the end")
    websocket.onuncaughterror = kept
    assert.is_true(#problems > 4)
    assert.truthy(tostring(problems[1]):find("not mine", 1, true))
  end)

  it("goes with open, WebSocket and ReconnectingWebSocket", function()
    serve()
    local entries, trace = collector()
    local connection = assert(websocket.open(server.url, { trace = trace }))
    connection:disconnect()
    wait_for(entries, "close")

    entries, trace = collector()
    local socket = websocket.ReconnectingWebSocket(server.url, nil, { trace = trace, minDelay = 1 })
    clock.drive(function()
      return socket.readyState == 1
    end, recorder.step, "the socket")
    server:close()
    wait_for(entries, "close")
    serve({ port = server.port })
    clock.drive(function()
      return #select_stage(entries, "begin") > 1 and socket.readyState == 1
    end, recorder.step, "the second connection")
    socket:close()
    clock.drive(function()
      return socket.readyState == 3
    end, recorder.step, "the end")
  end)

  it("writes lines to a file, which it appends to", function()
    serve({ compression = false })
    local threads, descriptors = process.threads(), process.descriptors()
    with_file(function(path)
      for _ = 1, 2 do
        origin.assert_echo(server.url .. "/?secret=hushhush", { trace = path, linger = true })
      end
      local text
      clock.poll(function()
        text = read(path)
        local _, ends = text:gsub("ms  close 1000", "")
        return ends == 2
      end, "all lines", 10)
      for line in text:gmatch("[^\n]+") do
        assert.truthy(line:find("^#%d+ +%d+%.%d%d%d ms  %l+"), line)
      end
      assert.truthy(text:find('frame sent text fin 5 bytes: "hello"', 1, true), text)
      assert.truthy(text:find('frame received text fin 5 bytes: "hello"', 1, true), text)
      assert.truthy(text:find("handshake request: GET /?secret=*** | Host: ", 1, true), text)
      assert.truthy(text:find("handshake response: 101 | ", 1, true), text)
      assert.falsy(text:find("hushhush", 1, true), text)
      clock.drive(function()
        return process.threads() <= threads and process.descriptors() <= descriptors
      end, recorder.step, "the file to be closed")
    end)
  end)

  it("has written its file when the Lua state is closed", function()
    with_file(function(path)
      program.lua(([[
        local websocket = require("websocket")
        local server = websocket.listen({}, function() end)
        local connection = assert(websocket.open(server.url, { trace = %q }))
        connection:send("last words")
      ]]):format(path))
      local text = read(path)
      assert.truthy(text:find("last words", 1, true), text)
      assert.truthy(text:find("close 1001", 1, true), text)
    end)
  end)

  it("names what is wrong with it", function()
    local function connect(trace)
      return function()
        websocket.connect("ws://127.0.0.1:1", { trace = trace }, function() end)
      end
    end
    local here = debug.getinfo(1, "S").short_src
    for _, case in ipairs({
      { 5, "params.trace must be a function, a path or a table, got 5" },
      { true, "params.trace must be a function, a path or a table, got a boolean" },
      { "/nowhere/at/all", "params.trace: '/nowhere/at/all' cannot be opened" },
      { { file = "/nowhere/at/all" }, "params.trace.file: '/nowhere/at/all' cannot be opened" },
      { {}, "params.trace must have either 'entry', a function, or 'file', a path" },
      { { entry = 5 }, "params.trace.entry must be a function, got a number" },
      { { entry = print, file = "x" }, "params.trace must have either" },
      { { entry = print, payload = -1 }, "params.trace.payload must be a whole number" },
      { { entry = print, max_queue = "x" }, "params.trace.max_queue must be a whole number" },
      { { entry = print, other = 1 }, "params.trace: unknown key 'other'" },
    }) do
      local message = raises(case[2], connect(case[1]))
      assert.truthy(message:find(here, 1, true), message)
    end
    connect(false)()
  end)
end)

describe("websocket.trace.har", function()
  local function told(path)
    local pipe = assert(io.popen("build/venv/bin/python tests/peers/har.py " .. path .. " 2>&1"))
    local output = pipe:read("*a")
    pipe:close()
    return output
  end

  it("is what viewers read, with binary and broken text in it", function()
    local broken = peer.violations("text")
    local server = websocket.listen({}, function(_, connection, data)
      if data.event == websocket.EVENT_MESSAGE then
        connection:send(data.message, { type = data.type })
      end
    end)
    with_file(function(path)
      local har = assert(websocket.trace.har(path, { payload = 64 }))
      assert.truthy(told(path):find("version 1.2 creator lua-websocket", 1, true), told(path))
      local connection = assert(websocket.open(server.url .. "/a?b=c", { trace = har }))
      local messages = { '"\\\n\1\127', "\195\188", ("\195\188"):rep(100) .. "x" }
      for _, message in ipairs(messages) do
        connection:send(message, TEXT)
        assert.equal(message, (connection:receive()))
      end
      connection:send("\0\1\255\192")
      connection:receive()
      connection:disconnect(1000, "b\195\188")
      server:close()
      local other = websocket.open("ws://127.0.0.1:" .. broken.port, { trace = har })
      if other then
        other:receive()
      end
      websocket.run()
      assert.is_true(har:close())
      local output = told(path)
      for _, line in ipairs({
        "send 1 whole '\"\\\\\\n\\x01\\x7f'",
        "receive 1 whole '\"\\\\\\n\\x01\\x7f'",
        "send 1 whole '\\xfc'",
        "send 1 201 '" .. ("\\xfc"):rep(32) .. "'",
        "send 2 whole '0001ffc0'",
        "receive 2 whole '0001ffc0'",
        "/a?b=c 101 202",
        "timing wait True",
        'close {"code": 10',
      }) do
        assert.truthy(output:find(line, 1, true), line .. " is not in " .. output)
      end
      local _, exchanges = output:gsub("\nurl ", "")
      assert.equal(2, exchanges, output)
      assert.truthy(output:find("receive 1 whole 'a\\ufffd\\ufffd('", 1, true), output)
    end)
    broken:stop()
  end)

  it("keeps no more than it may", function()
    local server = websocket.listen({}, function() end)
    with_file(function(path)
      local har = assert(websocket.trace.har(path, { limit = 2000 }))
      local connection = assert(websocket.open(server.url, { trace = har }))
      for _ = 1, 10 do
        connection:send(("x"):rep(500))
      end
      connection:disconnect()
      server:close()
      websocket.run()
      assert.is_true(har:save())
      assert.is_true(#read(path) < 6000)
      assert.truthy(told(path):find("7 entries are missing", 1, true), told(path))
    end)
  end)

  it("is written when nobody has it any more, and when the Lua state closes", function()
    with_file(function(path)
      program.lua(([[
        local websocket = require("websocket")
        local server = websocket.listen({}, function() end)
        local har = assert(websocket.trace.har(%q))
        local connection = assert(websocket.open(server.url, { trace = har }))
        connection:send("the last")
        websocket.wait(1000)
      ]]):format(path))
      assert.truthy(told(path):find(" 101 202", 1, true), told(path))
    end)
    with_file(function(path)
      local har = assert(websocket.trace.har(path))
      leaks.watch(har)
      os.remove(path)
      har.entry({ stage = "begin", url = "ws://x/", at = 0, connection = {} })
      har = nil -- luacheck: ignore
      clock.drive(function()
        collectgarbage()
        local file = io.open(path)
        return file and file:close()
      end, recorder.step, "the file")
      assert.truthy(told(path):find("url ws://x/", 1, true))
    end)
  end)

  it("says what is wrong", function()
    local har, problem = websocket.trace.har("/nowhere/at/all")
    assert.is_nil(har)
    assert.truthy(problem:find("/nowhere/at/all", 1, true))
    raises("bad argument #1 'path' (string expected, got nothing)", websocket.trace.har)
    raises("bad argument #2 'options'", websocket.trace.har, "x", 5)
    raises("payload: bytes expected, got -1", websocket.trace.har, "x", { payload = -1 })
    with_file(function(path)
      raises("call it with a colon: har:save()", assert(websocket.trace.har(path)).save)
    end)
  end)
end)
