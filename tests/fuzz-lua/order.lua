-- Many connections at once, each message of each direction in order and none missing, in every
-- style of host: order.lua SEED JOURNAL KIND=URL...
local journal = require("journal")

local seed = assert(tonumber(arg[1]), "order.lua SEED JOURNAL KIND=URL...")
journal.begin(arg[2])

local socket = require("socket")
local websocket = require("websocket")

local ledger = require("ledger")
local random = require("random")

local PATIENCE_MS = 30000 -- without any progress
local BYTES = 8e6 -- about as much in all, so that a program takes about a second
local SIZES = { 0, 1, 62, 63, 125, 126, 1000, 5000, 16000, 65535, 65536, 70000, 300000 }

local main = random.new(seed, "order")

local sides, by_path = {}, {} -- both ends of a connection, where both are here
local progress = websocket.now()

local function set_up(name, R)
  local side = {
    endpoint = ledger.endpoint(name),
    R = R,
    total = R:pick({ 0, 1, 10, 100, 400, 1500 }),
    largest = R:between(3, #SIZES),
    paused = false,
    closed = false,
  }
  sides[#sides + 1] = side
  return side
end

local function limits(R)
  return {
    compression = R:pick({ true, true, false, { threshold = 0, level = 1 } }),
    max_send_queue = R:pick({ 400000, 2000000 }),
    max_receive_queue = R:pick({ 1000, 70000, 2000000 }),
    timeout = 30000,
    close_timeout = 30000,
  }
end

local bytes_left = BYTES

-- The next message; `total` shrinks where the program has had its share of bytes.
local function draft(side)
  local R = side.R
  local size = SIZES[math.min(R:upto(side.largest), R:upto(side.largest))]
  bytes_left = bytes_left - size
  if bytes_left < 0 and size > 0 then
    side.total = side.endpoint.sent + 1
  end
  side.kind = R:upto(2)
  side.number, side.message = side.endpoint:draft(size, side.kind)
end

-- Sends some; one that does not fit stays and goes first next time.
local function burst(side)
  for _ = 1, side.R:upto(50) do
    if not side.message then
      if side.endpoint.sent >= side.total then
        return
      end
      draft(side)
    end
    local ok, problem = pcall(side.connection.send, side.connection, side.message, {
      type = side.kind,
    })
    if not ok then
      if not tostring(problem):find("the send queue is full", 1, true) then
        journal.fail(side.endpoint.name .. ": " .. tostring(problem))
      end
      return
    end
    side.endpoint:settle(side.number, "taken")
    side.message = nil
    progress = websocket.now()
  end
end

local function has_sent(side)
  return side.endpoint.sent >= side.total and not side.message
end

local function has_received(side)
  return side.endpoint.received >= side.from.total and has_sent(side.from)
end

local function pause_or_resume(side)
  if side.paused and side.R:once_in(4) then
    side.paused = false
    side.connection:resume()
  elseif not side.paused and side.R:once_in(15) then
    side.paused = true
    side.connection:pause()
  end
end

-- What a side does once in a frame.
local function tick(side)
  if side.closed or not side.endpoint.connected or side.endpoint.ended then
    return
  elseif side.ends and has_sent(side) and has_received(side) then
    side.closed = true
    side.connection:resume()
    side.connection:disconnect()
  elseif side.from.closed or side.peer and side.peer.closed then
    side.connection:resume() -- or it would not see the Close
  else
    pause_or_resume(side)
    burst(side)
  end
end

local function on_end(side, data)
  local endpoint = side.endpoint
  endpoint:on_disconnected(data.code)
  if data.code ~= 1000 or not data.clean then
    endpoint:broken(("ended with %d %s"):format(data.code, data.reason))
  elseif not has_sent(side) or endpoint.received ~= side.from.endpoint.sent then
    endpoint:broken(
      ("ended: sent %d of %d, received %d of %d"):format(
        endpoint.sent,
        side.total,
        endpoint.received,
        side.from.endpoint.sent
      )
    )
  end
end

local function on_event(side, connection, data)
  progress = websocket.now()
  local event, endpoint = data.event, side.endpoint
  if event == websocket.EVENT_MESSAGE then
    endpoint:on_message(data.message, data.type)
    if side.R:once_in(20) and not side.closed and endpoint.connected then
      tick(side)
    end
  elseif event == websocket.EVENT_CONNECTED then
    side.connection = connection
    endpoint:on_connected()
  elseif event == websocket.EVENT_ERROR then
    endpoint:broken("ERROR: " .. data.message)
  else
    on_end(side, data)
  end
end

local function listen()
  local members = {}
  return assert(websocket.listen(limits(main), function(_, connection, data)
    if data.event == websocket.EVENT_CONNECTED then
      members[connection] = by_path[data.request.path]
    end
    on_event(members[connection], connection, data)
  end))
end

-- Both ends here, or an echo in another process.
local function connect(index, server, echo)
  local R = random.new(seed, "side" .. index)
  local client = set_up("c", R)
  local path, url = "/" .. index, echo
  client.ends = true
  if echo and R:once_in(3) then
    client.from = client
  else
    local other = set_up("s", random.new(seed, "other" .. index))
    client.from, other.from = other, client
    client.peer, other.peer = other, client
    if R:once_in(2) then
      client.ends, other.ends = false, true
    end
    by_path[path] = other
    url = "ws://127.0.0.1:" .. server.port .. path
  end
  local params = limits(R)
  params.linger = R:once_in(2)
  websocket.connect(url, params, function(_, connection, data)
    on_event(client, connection, data)
  end)
end

local function all_ended()
  for _, side in ipairs(sides) do
    if not side.endpoint.ended then
      return false
    end
  end
  return true
end

-- How long a host may sleep: it ticks the sides that have something to do by themselves.
local function rest_ms()
  for _, side in ipairs(sides) do
    if side.endpoint.connected and not side.endpoint.ended then
      if side.paused or not has_sent(side) or side.from.closed then
        return 5
      end
    end
  end
  return 50
end

-- What LuaSocket takes for a socket.
local function watch(fd)
  return {
    getfd = function()
      return fd
    end,
    dirty = function()
      return false
    end,
  }
end

local watched -- the module's descriptor, asked for once

-- Ways to drive the module: each delivers what is there and rests.
local STYLES = {
  wait = function()
    websocket.wait(rest_ms())
  end,
  frames = function()
    websocket.update()
    socket.sleep(1 / 60)
  end,
  budget = function()
    websocket.update(main:pick({ 0, 0.1, 1, 4 }))
    socket.sleep(main:pick({ 0, 0, 0.001 }))
  end,
  descriptor = function()
    watched = watched or watch(websocket.fd())
    if #socket.select({ watched }, nil, rest_ms() / 1000) > 0 then
      websocket.update(main:once_in(3) and 0.1 or nil)
    end
  end,
}

local UNFINISHED = "%s connected %s sent %d of %d received %d of %d closed %s paused %s"

local function describe_unfinished()
  local words = {}
  for _, side in ipairs(sides) do
    local endpoint = side.endpoint
    if not endpoint.ended then
      words[#words + 1] = UNFINISHED:format(
        endpoint.name,
        tostring(endpoint.connected),
        endpoint.sent,
        side.total,
        endpoint.received,
        side.from.total,
        tostring(side.closed),
        tostring(side.paused)
      )
    end
  end
  return table.concat(words, "; ")
end

local function run(style)
  while not all_ended() do
    STYLES[style]()
    for _, side in ipairs(sides) do
      tick(side)
    end
    if websocket.now() - progress > PATIENCE_MS then
      journal.fail(style .. ": nothing happens: " .. describe_unfinished())
    end
  end
end

local _, echo = nil, nil
for index = 3, #arg do
  _, echo = arg[index]:match("^(echo)=(.*)$")
end
local style = main:pick({ "wait", "frames", "budget", "descriptor" })
local count = main:pick({ 1, 5, 20, 50 })
journal.note("style", style, count, "connections")
local server = listen()
for index = 1, count do
  connect(index, server, echo)
end
run(style)
server:close()
websocket.run()
local messages = 0
for _, side in ipairs(sides) do
  messages = messages + side.endpoint.received
end
journal.note(messages, "messages")
print("end: drained")
