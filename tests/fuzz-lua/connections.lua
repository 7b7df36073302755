-- Actions: the calls for connections, used as they are meant.
local faults = require("faults")
local journal = require("journal")
local ledger = require("ledger")
local reactions = require("reactions")
local values = require("values")
local world = require("world")

local actions = world.actions

function actions.connect(R)
  local target = R:pick(world.targets)
  local params = R:once_in(2) and values.params(R) or nil
  local endpoint
  if R:once_in(2) and #world.servers > 0 then
    endpoint = ledger.endpoint("c", true)
    target = { world.any(R, world.servers).url .. "/" .. endpoint.name }
    if target[1]:find("^wss") and not R:once_in(6) then
      params = params or {}
      params.tls = world.trust(R)
    end
  else
    endpoint = ledger.endpoint("c", target[2])
  end
  local callback = reactions.callback_of(endpoint, world.stream("connection"))
  endpoint.lingers = params ~= nil and rawget(params, "linger") == true
  local url = R:once_in(20) and values.junk(R) or target[1]
  journal.note("connect", endpoint.name, tostring(target[1]))
  local ok, connection = world.try("connect", function()
    local connection = world.websocket.connect(url, params, callback)
    return connection
  end)
  if ok then
    world.hold(world.connections, connection, endpoint)
  elseif connection == "misuse" then
    endpoint.refused = true
  else -- where the fault struck, nobody knows
    endpoint.optional = true
  end
end

function actions.send(R, _, connection, endpoint)
  if not connection then
    connection, endpoint = world.any(R, world.connections)
  end
  -- A finalizer may run while a message is made: its own would overtake.
  if not connection or endpoint.sending then
    return
  end
  endpoint.sending = true
  for _ = 1, R:once_in(8) and R:upto(60) or R:upto(3) do
    local kind = R:upto(2)
    local options = (kind == 1 or R:once_in(2)) and { type = kind } or nil
    local from = endpoint.sender
    if options and R:once_in(3) then
      options.latest = R:pick({ "a", "b", 3 })
      from = from:keyed(options.latest)
    end
    local number, message = from:draft(values.size(R), kind)
    journal.note("send", endpoint.name, from.name, number, #message)
    local ok, verdict = world.try("send", function()
      local nothing = connection:send(message, options)
      return nothing
    end)
    if ok then
      from:settle(number, "taken")
    else
      if verdict == "misuse" then
        from:settle(number, "refused")
      end
      break
    end
  end
  endpoint.sending = false
end

function actions.disconnect(R, _, connection, endpoint)
  if not connection then
    connection, endpoint = world.any(R, world.connections)
  end
  if not connection then
    return
  end
  journal.note("disconnect", endpoint.name)
  local before = connection:state()
  local code = R:pick({ false, 1000, 3000, 4999, "3000", 1, 1006 }) or nil
  local reason = R:pick({ false, "why", 7, "\255" }) or nil
  local ok = world.try("disconnect", function()
    local nothing = connection:disconnect(code, reason)
    return nothing
  end)
  if not ok or before == "closing" or before == "closed" then
    return
  elseif not endpoint.lingers then
    endpoint:leave(code, reason, world.in_finalizer)
  elseif before == "connecting" then
    endpoint.gave_up = true
  end
end

local STATES = { connecting = true, open = true, closing = true, closed = true }

function actions.observe(R)
  local connection, endpoint = world.any(R, world.connections)
  if not connection then
    return
  end
  journal.note("observe", endpoint.name)
  world.try("observers", function()
    local state = connection:state()
    if not STATES[state] then
      endpoint:broken("state " .. tostring(state))
    end
    local buffered, stats = connection:buffered(), connection:stats()
    if type(buffered) ~= "number" or buffered < 0 or type(stats) ~= "table" then
      endpoint:broken("buffered is " .. tostring(buffered) .. ", stats " .. tostring(stats))
    end
    tostring(connection)
    if R:once_in(3) then
      connection:pause()
    end
    if R:once_in(2) then
      connection:resume()
    end
  end)
end

function actions.update(R)
  journal.note("update")
  world.try("update", function()
    local count = world.websocket.update(R:pick({ false, 0, 1, 5 }) or nil)
    return count
  end)
end

function actions.wait(R)
  local time = R:pick({ 0, 1, 5, 20 })
  journal.note("wait", time)
  world.try("wait", function()
    local count = world.websocket.wait(time)
    return count
  end)
end

function actions.look(R)
  world.try("fd and now", function()
    local fd = R:once_in(3) and world.websocket.fd()
    return fd, world.websocket.now()
  end)
end

-- A straight line: opens, sends, receives.
local function converse(R, url, foreign, endpoint)
  local connection, problem, code = world.websocket.open(url, values.params(R))
  if not connection then
    endpoint.refused = true
    if type(problem) ~= "string" or type(code) ~= "number" and code ~= nil then
      journal.fail(("open gave nil, %s, %s"):format(tostring(problem), tostring(code)))
    end
    return
  end
  endpoint.connected, endpoint.foreign = true, foreign
  world.hold(world.connections, connection, endpoint)
  for _ = 1, R:upto(4) do
    if connection:state() == "open" then
      actions.send(R, 1, connection, endpoint)
    end
    local message, kind = connection:receive(R:pick({ 0, 1, 10, 40 }))
    if message then
      endpoint:receive(message, kind)
    elseif kind ~= "timeout" then
      break
    end
  end
  if R:once_in(2) then
    connection:disconnect()
  end
end

local function forget_end(endpoint)
  endpoint.ended = true -- it has no callback that would be told
end

function actions.open(R, depth)
  local target = R:pick(world.targets)
  local endpoint = ledger.endpoint("o", target[2])
  forget_end(endpoint)
  journal.note("open", endpoint.name, target[1])
  local own = world.stream("open")
  local function body()
    converse(own, target[1], target[2], endpoint)
  end
  if depth == 0 and R:once_in(2) then
    world.try("open", body)
  else
    -- Lua 5.1 cannot yield across pcall: the coroutine is what protects.
    local thread = coroutine.create(body)
    local ok, problem = coroutine.resume(thread)
    if not ok then
      faults.judge(problem, "open in a coroutine")
    end
  end
end
