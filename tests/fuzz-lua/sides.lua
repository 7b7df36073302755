-- Both ends of the connections of order.lua: what each sends, and that it gets all that is sent
-- to it, in order.
local journal = require("journal")
local ledger = require("ledger")
local random = require("random")
local websocket = require("websocket")

local BYTES = 8e6 -- about as much in all, so that a program takes about a second
local SIZES = { 0, 1, 62, 63, 125, 126, 1000, 5000, 16000, 65535, 65536, 70000, 300000 }

local sides = {
  all = {},
  progress = websocket.now(), -- when something last happened
  house = nil, -- the server of those that have no other
}

local bytes_left = BYTES

-- One end. `stream`: where its choices come from.
function sides.new(kind, seed, stream)
  local R = random.new(seed, stream)
  local side = {
    endpoint = ledger.endpoint(kind),
    R = R,
    total = R:pick({ 0, 1, 10, 100, 400, 1500 }), -- of messages without a key
    largest = R:between(3, #SIZES),
    keys = R:once_in(3) and R:upto(3) or 0, -- of messages that replace each other
    from = nil, -- whose messages come here
    peer = nil, -- the other end, if it is here
    ends = false, -- it is this one that disconnects
    connection = nil,
    paused = false,
    closed = false,
  }
  sides.all[#sides.all + 1] = side
  return side
end

-- `total` shrinks where the program has had its share of bytes.
local function size_of(side)
  local R = side.R
  local size = SIZES[math.min(R:upto(side.largest), R:upto(side.largest))]
  bytes_left = bytes_left - size
  if bytes_left < 0 and size > 0 then
    side.total = side.endpoint.sender.sent + 1
  end
  return size
end

local function draft(side)
  local R = side.R
  local own = side.endpoint.sender
  local size = size_of(side)
  local options = { type = R:upto(2) }
  if side.keys > 0 and R:once_in(2) then
    options.latest = "key " .. R:upto(side.keys)
    own = own:keyed(options.latest)
  end
  local number, message = own:draft(size, options.type)
  side.draft = { from = own, number = number, message = message, options = options }
end

-- Sends some; one that does not fit stays and goes first next time.
local function burst(side)
  for _ = 1, side.R:upto(50) do
    if not side.draft then
      if side.endpoint.sender.sent >= side.total then
        return
      end
      draft(side)
    end
    local next_one = side.draft
    local ok, problem =
      pcall(side.connection.send, side.connection, next_one.message, next_one.options)
    if not ok then
      if not tostring(problem):find("the send queue is full", 1, true) then
        journal.fail(side.endpoint.name .. ": " .. tostring(problem))
      end
      return
    end
    next_one.from:settle(next_one.number, "taken")
    side.draft = nil
    sides.progress = websocket.now()
  end
end

function sides.has_sent(side)
  return side.endpoint.sender.sent >= side.total and not side.draft
end

-- All that is sent to its end, by its server to all of its clients, too.
local function has_received(side)
  local house = side.peer and sides.house
  if house and not house:has_sent() then
    return false
  end
  return sides.has_sent(side.from)
    and side.endpoint:has_all_of(side.from.endpoint.sender)
    and (not house or side.endpoint:has_all_of(house.sender))
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
function sides.tick(side)
  if side.closed or not side.endpoint.connected or side.endpoint.ended then
    return
  elseif side.ends and sides.has_sent(side) and has_received(side) then
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
  elseif not sides.has_sent(side) or not has_received(side) then
    endpoint:broken("ended: " .. sides.describe(side))
  end
end

function sides.on_event(side, connection, data)
  sides.progress = websocket.now()
  local event, endpoint = data.event, side.endpoint
  if event == websocket.EVENT_MESSAGE then
    endpoint:on_message(data.message, data.type)
    if side.R:once_in(20) and not side.closed and endpoint.connected then
      sides.tick(side)
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

function sides.have_all_ended()
  for _, side in ipairs(sides.all) do
    if not side.endpoint.ended then
      return false
    end
  end
  return true
end

-- Whether one has something to do by itself.
function sides.are_busy()
  for _, side in ipairs(sides.all) do
    if side.endpoint.connected and not side.endpoint.ended then
      if side.paused or not sides.has_sent(side) or side.from.closed then
        return true
      end
    end
  end
  return sides.house ~= nil and not sides.house:has_sent()
end

local UNFINISHED =
  "%s connected %s sent %d of %d, saw %d of the last %d (%d in all) closed %s paused %s"

function sides.describe(side)
  local endpoint, from = side.endpoint, side.from.endpoint.sender
  return UNFINISHED:format(
    endpoint.name,
    tostring(endpoint.connected),
    endpoint.sender.sent,
    side.total,
    endpoint.seen[from] or 0,
    from:last(endpoint),
    endpoint.received,
    tostring(side.closed),
    tostring(side.paused)
  )
end

function sides.describe_unfinished()
  local words = {}
  for _, side in ipairs(sides.all) do
    if not side.endpoint.ended then
      words[#words + 1] = sides.describe(side)
    end
  end
  return table.concat(words, "; ")
end

return sides
