-- Many connections at once, each message of each direction in order and none missing, in every
-- style of host: order.lua SEED JOURNAL KIND=URL...
local journal = require("journal")

local seed = assert(tonumber(arg[1]), "order.lua SEED JOURNAL KIND=URL...")
journal.begin(arg[2])

local socket = require("socket")
local websocket = require("websocket")

local crowd = require("crowd")
local random = require("random")
local sides = require("sides")

local PATIENCE_MS = 30000 -- without any progress

local main = random.new(seed, "order")

local function limits(R)
  return {
    compression = R:pick({
      true,
      true,
      false,
      { threshold = 0, level = 1 },
      { client_no_context_takeover = true, server_no_context_takeover = true },
    }),
    max_send_queue = R:pick({ 400000, 2000000 }),
    max_receive_queue = R:pick({ 1000, 70000, 2000000 }),
    timeout = 120000,
    close_timeout = 120000,
  }
end

-- Both ends here, or an echo in another process.
local function connect(index, house, echo)
  local client = sides.new("c", seed, "side" .. index)
  local R = client.R
  local params = limits(R)
  local path, url = "/" .. index, echo
  client.ends = true
  if echo and R:once_in(3) then
    client.from = client
  else
    local other = sides.new("s", seed, "other" .. index)
    client.from, other.from = other, client
    client.peer, other.peer = other, client
    if R:once_in(2) then
      client.ends, other.ends = false, true
    end
    house.sides[path] = client
    url, params.tls = house:url(path), house.trust
  end
  params.linger = R:once_in(2)
  websocket.connect(url, params, function(_, connection, data)
    sides.on_event(client, connection, data)
  end)
end

-- How long a host may sleep: it ticks the sides that have something to do by themselves.
local function rest_ms()
  return (sides.are_busy() or sides.house:is_busy()) and 5 or 50
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

local function run(style, house)
  while not sides.have_all_ended() or house:is_busy() do
    STYLES[style]()
    house:tick()
    for _, side in ipairs(sides.all) do
      sides.tick(side)
    end
    if websocket.now() - sides.progress > PATIENCE_MS then
      journal.fail(style .. ": nothing happens: " .. sides.describe_unfinished())
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
local house = crowd.new(seed, limits(main), count)
sides.house = house
for index = 1, count do
  connect(index, house, echo)
end
house:invite()
run(style, house)
house.server:close()
websocket.run()
local messages = 0
for _, side in ipairs(sides.all) do
  messages = messages + side.endpoint.received
end
journal.note(messages, "messages")
print("end: drained")
