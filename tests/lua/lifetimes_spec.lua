local clock = require("support.clock")
local peer = require("support.peer")
local process = require("support.process")

local LIMIT_MS = 700 + process.START_MS

local PRELUDE = [[
local websocket = require("websocket")
local url = arg[1]
local function connected(params, callback)
  local open = false
  local connection = websocket.connect(url, params, function(_, connection, data)
    open = open or data.event == websocket.EVENT_CONNECTED
    if callback then callback(connection, data) end
  end)
  while not open do websocket.wait() end
  return connection
end
]]

local interpreter = arg[-1]
local FIRST_LINE = select(2, PRELUDE:gsub("\n", "")) + 1

-- Runs a script in an interpreter of its own; returns its exit code and its time in ms.
local function run(script, url)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write(PRELUDE, script, "\n")
  file:close()
  local status, output
  local took = clock.milliseconds(function()
    output, status = peer.run(("%s %s '%s'"):format(interpreter, path, url), clock.rest)
  end)
  os.remove(path)
  return status, took, output
end

describe("a script that ends", function()
  local server

  setup(function()
    server = peer.start("python")
  end)

  teardown(function()
    server:stop()
  end)

  local function assert_seen(...)
    for _, line in ipairs({ ... }) do
      assert.equal(line, server:line())
    end
  end

  local function assert_ends(script, expected_status)
    local status, took, output = run(script, server:url("/observe"))
    assert.equal(expected_status or 0, status, output)
    assert.is_true(took < LIMIT_MS, took)
    return output
  end

  it("with an open connection closes it with 1001", function()
    assert_ends("connected()")
    assert_seen("open", "closed 1001")
  end)

  it("by os.exit closes what is open, where the interpreter closes the state", function()
    assert_ends("connected(); os.exit(0, true)")
    assert.equal("open", server:line())
    -- Lua 5.1 has no closing exit: the connection breaks.
    local line = server:line()
    assert.is_truthy(line == "closed 1001" or line == "closed 1006", line)
  end)

  it("by os.exit leaves at once", function()
    assert_ends("connected(); os.exit(0)")
    assert.equal("open", server:line())
    assert.is_truthy(server:line():find("^closed 100[16]$"))
  end)

  it("by an error closes with 1001", function()
    local output = assert_ends("connected(); error('on purpose')", 1)
    assert.is_truthy(output:find("on purpose", 1, true), output)
    assert_seen("open", "closed 1001")
  end)

  it("by an error in a callback names its line", function()
    local output = assert_ends(
      "connected(nil, function(_, data) error('in the callback ' .. data.event) end)",
      1
    )
    assert.is_truthy(output:find((":%d: in the callback 0"):format(FIRST_LINE), 1, true), output)
    assert.is_truthy(output:find("stack traceback", 1, true), output)
    assert_seen("open", "closed 1001")
  end)

  it("while a connection closes", function()
    assert_ends("connected():disconnect(4000, 'bye')")
    assert_seen("open", "closed 4000 bye")
  end)

  it("with what it had sent still on its way", function()
    local script =
      "local c = connected({ compression = false }); c:send(('x'):rep(1000000)); c:disconnect()"
    local seen
    -- There is half a second for it, which may be too short on a busy machine.
    local best = clock.best(LIMIT_MS, function()
      local status, took, output = run(script, server:url("/sink"))
      assert.equal(0, status, output)
      seen = server:line()
      return seen == "1 1000000" and took or math.huge
    end)
    assert.is_true(best < LIMIT_MS, ("%s, %g ms"):format(seen, best))
  end)

  it("while messages flow at full speed", function()
    for _ = 1, 5 do
      local status, took, output = run("connected()", server:url("/flood?count=100000&size=1000"))
      assert.same({ 0, "" }, { status, output })
      assert.is_true(took < LIMIT_MS, took)
    end
  end)

  it("with a server and its clients", function()
    assert_ends([[
      local server = assert(websocket.listen({}, function() end))
      connected()
      for _ = 1, 10 do
        url = server.url
        connected()
      end
    ]])
    assert_seen("open", "closed 1001")
  end)

  for _, mode in ipairs({ "silent", "blackhole", "deaf" }) do
    it("while a connection is stalled: " .. mode, function()
      local stalled = peer.raw(mode)
      local script = "websocket.connect(url, {timeout = 60000}, function() end); websocket.wait(50)"
      local status, took, output = run(script, stalled:url())
      assert.equal(0, status, output)
      assert.is_true(took < LIMIT_MS, took)
      stalled:stop()
    end)
  end

  it("while it waits for a peer's Close that never comes", function()
    local deaf = peer.raw("deaf")
    local script = "connected({close_timeout = 60000}):disconnect()"
    local status, took, output = run(script, deaf:url())
    assert.equal(0, status, output)
    assert.is_true(took < LIMIT_MS, took)
    deaf:stop()
  end)
end)

local LONG_LIFE = [[
local server = assert(websocket.listen({}, function()
  collectgarbage()
end))
local started, ended = 0, 0
local on_event

local function connect()
  started = started + 1
  websocket.connect(server.url, nil, on_event)
end

function on_event(_, connection, data)
  collectgarbage()
  if data.event == websocket.EVENT_CONNECTED then
    connection:disconnect()
  elseif data.event == websocket.EVENT_DISCONNECTED then
    ended = ended + 1
    if started < 10000 then
      connect()
    end
  end
end

local function resident()
  local file = assert(io.open("/proc/self/status"))
  local kilobytes = file:read("*a"):match("VmRSS:%s*(%d+) kB")
  file:close()
  return kilobytes
end

for _ = 1, 20 do
  connect()
end
-- What so many at once, and the allocators, take and keep.
while ended < 4000 do
  websocket.wait()
end
local before = resident()
while ended < 10000 do
  websocket.wait()
end
print(before, resident(), ended)
]]

describe("a process that lives long", function()
  it("keeps its memory over 10,000 connections, collecting in each callback #long", function()
    local status, _, output = run(LONG_LIFE, "")
    assert.equal(0, status, output)
    local before, after, ended = output:match("(%d+)%s+(%d+)%s+(%d+)")
    assert.equal("10000", ended)
    assert.is_true(tonumber(after) < tonumber(before) * 1.1, output)
  end)
end)
