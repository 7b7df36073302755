-- Actions: servers.
local houses = require("houses")
local journal = require("journal")
local reactions = require("reactions")
local values = require("values")
local world = require("world")

local actions = world.actions

function actions.listen(R)
  local params = not R:once_in(4) and values.server_params(R) or nil
  if params and R:once_in(3) then
    params.authorize = houses.authorize(world.stream("authorize"), params)
  end
  if params and R:once_in(3) then
    params.request = houses.request(world.stream("request"), params)
  end
  local house = houses.new()
  local callback = reactions.accepting_callback(house)
  journal.note("listen")
  local ok, server = world.try("listen", function()
    local server = world.websocket.listen(params, callback)
    return server
  end)
  if ok and server then
    journal.note("listens", server.url)
    world.hold(world.servers, server, house)
  end
end

function actions.close_server(R)
  local server = world.any(R, world.servers)
  if server then
    journal.note("close a server")
    world.try("close of a server", function()
      server:connections()
      server:close(R:once_in(3) and 1012 or nil, R:once_in(3) and "over" or nil)
    end)
  end
end

-- Nobody, one of its members, some, or somebody else.
local function pick_except(R, house)
  local what = R:upto(6)
  if what <= 3 then
    return nil, {}
  elseif what == 4 then
    local other = world.any(R, world.connections)
    return other, other and { [other] = true } or {}
  elseif what == 5 then
    local list, set = {}, {}
    for connection in pairs(house.members) do
      if R:once_in(2) then
        list[#list + 1], set[connection] = connection, true
      end
    end
    return list, set
  end
  return values.junk(R), {}
end

local function broadcast(R, server, house)
  local except, is_excepted = pick_except(R, house)
  local kind, slow = R:upto(2), R:pick({ "wait", "wait", "drop", "close" })
  local key = R:once_in(3) and R:pick({ "a", 7 }) or nil
  local due, excepted = house:audience(is_excepted)
  local from = key and house.sender:keyed(key) or house.sender
  local number, message = from:draft(values.size(R), kind)
  journal.note("broadcast", from.name, number, #message, slow, "to", #due)
  local ok, count = world.try("broadcast", function()
    local options = { type = kind, slow = slow, except = except, latest = key }
    local count = server:broadcast(message, options)
    return count
  end)
  if ok then
    if type(count) ~= "number" or count < 0 or count % 1 ~= 0 then
      journal.fail("broadcast returned " .. tostring(count))
    end
    for _, client in ipairs(due) do
      -- Whoever is closed for being slow gets nothing later, either.
      from:settle(number, slow == "drop" and "unsure" or "taken", client)
    end
    for _, client in ipairs(excepted) do
      from:settle(number, "refused", client)
    end
  elseif count == "misuse" then
    from:settle(number, "refused")
  end
end

function actions.broadcast(R)
  local server, house = world.any(R, world.servers)
  -- A finalizer may run while a message is made: its own would overtake.
  if not house or house.sending then
    return
  end
  house.sending = true
  for _ = 1, R:once_in(6) and R:upto(30) or R:upto(3) do
    broadcast(R, server, house)
  end
  house.sending = false
end

function actions.reload(R)
  local server, house = world.any(R, world.servers)
  if not house then
    return
  end
  journal.note("reload")
  local ok, done, problem, code = world.try("reload", function()
    local done, problem, code = server:reload(R:pick({
      { tls = world.identity("two") },
      { tls = { certificate = "no file", key = "no file" } },
      { tls = {} },
      {},
    }))
    return done, problem, code
  end)
  local explained = type(problem) == "string" and (code == nil or type(code) == "number")
  if ok and done ~= true and (done ~= nil or not explained) then
    journal.fail(("reload gave %s, %s"):format(tostring(done), tostring(problem)))
  end
end

function actions.web_server(R)
  journal.note("WebSocketServer")
  local params = values.server_params(R)
  if R:once_in(3) then
    params.authorize = houses.authorize(world.stream("authorize"), params)
  end
  local ok, server = world.try("WebSocketServer", function()
    local server = world.websocket.WebSocketServer(params)
    server.onconnection = function(socket)
      socket:send("from a server")
    end
    return server
  end)
  if ok then
    world.hold(world.servers, server)
  end
end
