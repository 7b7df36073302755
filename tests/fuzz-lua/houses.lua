-- Servers: whom they let in, what they answer to those who want no WebSocket, and what they send
-- to all.
local faults = require("faults")
local journal = require("journal")
local ledger = require("ledger")
local sender = require("sender")
local world = require("world")

local actions = world.actions

local House = {}
House.__index = House

local houses = {}
local count = 0

-- What belongs to a server, and to whom its messages to all are due.
function houses.new()
  count = count + 1
  local house = setmetatable({
    name = "a server",
    sender = sender.new("h" .. count),
    sending = false,
    members = setmetatable({}, { __mode = "k" }), -- by connection: {its endpoint, its client's}
  }, House)
  return house
end

-- The endpoints of a connection, here and there; the second only where it is known.
function House:member(connection, data)
  local member = self.members[connection]
  local is_new = not member
  if is_new then
    member = { ledger.endpoint("s", true), nil }
    self.members[connection] = member
  end
  if data.request then
    member[2] = ledger.client_of(data.request.path)
  end
  return member[1], is_new
end

-- The clients that a message to all must reach, and those among `except`.
function House:audience(except)
  local due, others = {}, {}
  for connection, member in pairs(self.members) do
    local client = member[2]
    if client and except[connection] then
      others[#others + 1] = client
    elseif client and connection:state() == "open" then
      due[#due + 1] = client
    end
  end
  return due, others
end

local function check_request(name, request)
  local is_right = type(request) == "table"
    and (request.method == "GET" or request.method == "HEAD" and name == "request")
    and type(request.path) == "string"
    and type(request.query) == "table"
    and type(request.headers) == "table"
    and type(request.protocols) == "table"
  if not is_right then
    journal.fail(name .. " is given no whole request")
  end
end

-- What may happen in a function of a server before it answers.
local function dawdle(R)
  local what = R:upto(16)
  if what == 1 then
    faults.raise(R)
  elseif what == 2 then
    coroutine.yield("fuzz: a server's function yields")
  elseif what == 3 then
    actions.collect(R)
  elseif what == 4 then
    world.try("update in a server's function", function()
      local delivered = world.websocket.update() + world.websocket.wait(1)
      if delivered ~= 0 then
        journal.fail("update inside of a server's function returned " .. tostring(delivered))
      end
    end)
  elseif what <= 6 then
    actions.act(R, 2)
  end
end

local BODIES = { "", "what?", ("page"):rep(5000) }

-- A status, headers and a body that the server has room for.
local function refusal(R, room)
  local body = R:pick(BODIES)
  return R:pick({ 200, 302, 401, 404, 429, 500 }),
    R:pick({ {}, { ["X-A"] = 7, ["x-b"] = { "1", "2" } } }),
    #body <= room and body or ""
end

-- What is none, and gets 500.
local NONSENSE = {
  function() end,
  function()
    return {}
  end,
  function()
    return 99, {}, "x"
  end,
  function()
    return "200"
  end,
  function()
    return 401, { ["a\r\nb"] = "x" }
  end,
  function()
    return true, { protocol = "not offered" }
  end,
  function()
    return 0 / 0
  end,
  function()
    return true, 5
  end,
}

local function room_of(params)
  return tonumber(rawget(params, "max_send_queue")) or math.huge
end

-- `authorize` for a server with these params. Its clients must get what it has said.
function houses.authorize(R, params)
  local room = room_of(params)
  return function(request)
    check_request("authorize", request)
    journal.note("authorize", request.path)
    local client = ledger.client_of(request.path) or {}
    if client.on_asked then
      client:on_asked()
    end
    client.verdict = 500 -- until it has come to an answer
    dawdle(R)
    local what = R:upto(10)
    if what <= 6 then
      client.verdict = "open"
      return true, R:pick({ {}, { headers = { ["X-A"] = 1 } } })
    elseif what == 7 then
      client.verdict = 403
      return false
    elseif what <= 9 then
      local status, headers, body = refusal(R, room)
      client.verdict = status
      return status, headers, body
    end
    return R:pick(NONSENSE)()
  end
end

-- `request` for a server with these params.
function houses.request(R, params)
  local room = room_of(params)
  return function(request)
    check_request("request", request)
    journal.note("request", request.method, request.path)
    dawdle(R)
    if R:once_in(6) then
      return R:pick(NONSENSE)()
    end
    return refusal(R, room)
  end
end

return houses
