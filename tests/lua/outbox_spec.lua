-- What a ReconnectingWebSocket sends again after a break: all that the broken connection had not
-- written to its last byte, and nothing else.
local lfs = require("lfs")

local clock = require("support.clock")
local peer = require("support.peer")
local process = require("support.process")
local sockets = require("support.sockets")
local websocket = require("websocket")

local drive, keep = sockets.drive, sockets.keep

-- A masked frame of this payload: 2 bytes, 4 of mask, the payload (RFC 6455 section 5.2).
local SIZE, HEADER = 120, 6

local function numbered(number)
  return ("%08d"):format(number) .. ("."):rep(SIZE - 8)
end

-- Bytes that Linux has on their way to a port of this machine: not yet acknowledged, or not yet
-- read; nil where there is no connection.
local function on_the_way(port)
  local outgoing, incoming
  for line in io.lines("/proc/net/tcp") do
    local from, to, state, sent, received =
      line:match("^%s*%d+: %x+:(%x+) %x+:(%x+) (%x+) (%x+):(%x+)")
    if state == "01" and tonumber(to, 16) == port then
      outgoing = tonumber(sent, 16)
    elseif state == "01" and tonumber(from, 16) == port then
      incoming = tonumber(received, 16)
    end
  end
  return outgoing and incoming and outgoing + incoming
end

local function state_of(path)
  local file = io.open(path .. "/stat")
  local stat = file and file:read("*a") or ""
  if file then
    file:close()
  end
  return stat:match("%) (%a)")
end

-- Whether nobody writes: a thread whose socket takes more does not sleep.
local function all_sleep()
  local awake = 0
  for task in lfs.dir("/proc/self/task") do
    if task:match("^%d+$") and state_of("/proc/self/task/" .. task) ~= "S" then
      awake = awake + 1
    end
  end
  return awake == 1 -- this one
end

-- So many bytes of frames have so many bytes of messages.
local function payload_of(bytes)
  local whole = math.floor(bytes / (SIZE + HEADER))
  return whole * SIZE + math.max(0, bytes % (SIZE + HEADER) - HEADER), whole
end

describe("the outbox of a ReconnectingWebSocket", function()
  local other

  local function kill()
    os.execute("kill -KILL " .. other.pid)
    other.output:close()
    other = nil
  end

  before_each(sockets.begin)
  after_each(function()
    if other then
      kill()
    end
    sockets.close_all()
  end)

  -- To a server that comes back, at a port of its own each time.
  local function connect()
    other = peer.start("node")
    local socket = keep(websocket.ReconnectingWebSocket(function()
      return other:url("/echo")
    end, nil, { minDelay = 5, jitter = false, compression = false, maxOutbox = 1e9 }))
    return sockets.reach(socket, 1)
  end

  -- It reads no more, and what it has not read is where `on_the_way` finds it.
  local function stop_reading()
    os.execute("kill -STOP " .. other.pid)
    clock.poll(function()
      return state_of("/proc/" .. other.pid) == "T"
    end, "the stop of the peer")
  end

  -- The messages that the next server gets, up to `last`.
  local function arrivals(socket, last)
    local got = {}
    socket.onmessage = function(event)
      got[#got + 1] = event.data
    end
    other = peer.start("node")
    drive(function()
      return got[#got] == last
    end, "the last message")
    return got
  end

  -- Under Wine there is no table of the system's connections.
  local test = lfs.attributes("/proc/net/tcp") and it or pending

  test("has each small message that a broken connection had not written, and no other", function()
    local socket = connect()
    stop_reading()
    -- More than the system's buffers take.
    local count, written = 120000, nil
    for number = 1, count do
      socket:send(numbered(number), "binary")
    end
    -- Nothing leaves any more: what counts as written is what the system has.
    clock.poll(function()
      websocket.update()
      local bytes = on_the_way(other.port)
      local payload, whole = payload_of(bytes)
      written = whole
      return all_sleep()
        and bytes == on_the_way(other.port)
        and count * SIZE - socket.bufferedAmount == payload
    end, "bufferedAmount to be what the system has not")
    assert.is_true(written > 100 and written < count - 1000, written)
    kill()
    local got = arrivals(socket, numbered(count))
    assert.equal(count - written, #got)
    for i, message in ipairs(got) do
      assert.equal(numbered(written + i), message)
    end
  end)

  it("has an empty message that came too late for the broken connection", function()
    local before = process.threads()
    local socket = connect()
    kill()
    -- The connection's thread ends with it; the socket hears of that with the next update.
    clock.poll(function()
      return process.threads() <= before
    end, "the end of the connection's thread")
    assert.equal(1, socket.readyState)
    socket:send("")
    assert.equal(0, socket.bufferedAmount)
    drive(function()
      return socket.readyState ~= 1
    end, "the end of the connection")
    socket:send("last")
    assert.same({ "", "last" }, arrivals(socket, "last"))
  end)

  it("does not send empty messages again that were written", function()
    local socket = connect()
    local got = 0
    socket.onmessage = function()
      got = got + 1
    end
    for _ = 1, 3 do
      socket:send("")
    end
    drive(function()
      return got == 3
    end, "three echoes")
    kill()
    drive(function()
      return socket.readyState ~= 1
    end, "the end of the connection")
    socket:send("last")
    assert.same({ "last" }, arrivals(socket, "last"))
  end)

  it("has what is sent where a listener hears of the error", function()
    local socket = connect()
    local states = {}
    socket.onerror = function()
      states[#states + 1] = socket.readyState
      if #states == 1 then
        socket:send("in between")
        assert.equal(10, socket.bufferedAmount)
      end
    end
    socket:send("before")
    drive(function()
      return socket.bufferedAmount == 0
    end)
    kill()
    drive(function()
      return socket.readyState ~= 1
    end, "the end of the connection")
    socket:send("last")
    assert.same({ "in between", "last" }, arrivals(socket, "last"))
  end)
end)
