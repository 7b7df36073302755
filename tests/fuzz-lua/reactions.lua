-- What callbacks do: they tell the ledger, and then anything.
local faults = require("faults")
local journal = require("journal")
local ledger = require("ledger")
local world = require("world")

local actions = world.actions

local reactions = {}

-- What a callback does with an event, besides counting it.
local REACTIONS = {
  { "nothing", 40 },
  { "send", 20 },
  { "act", 15 },
  { "disconnect", 4 },
  { "raise", 4 },
  { "yield", 4 },
  { "update", 3 },
}

local function react(R, depth, connection, endpoint)
  local thread, is_main = coroutine.running()
  local reaction = R:weighted(REACTIONS)
  if thread and not is_main and R:once_in(4) then
    reaction = "yield" -- where it may succeed
  end
  if world.is_over or reaction == "nothing" then
    return
  end
  journal.note("  in a callback of", endpoint.name, reaction)
  if reaction == "send" then
    actions.send(R, depth, connection, endpoint)
  elseif reaction == "act" then
    actions.act(R, depth + 1)
  elseif reaction == "disconnect" then
    actions.disconnect(R, depth, connection, endpoint)
  elseif reaction == "raise" then
    faults.raise(R)
  elseif reaction == "yield" then
    local _, problem = pcall(coroutine.yield, "fuzz: a callback yields")
    journal.note("  yielded:", tostring(problem))
  else
    world.try("update in a callback", function()
      local count = world.websocket.update()
      if count ~= 0 then
        journal.fail("update inside of a callback returned " .. tostring(count))
      end
    end)
  end
end

function reactions.told(endpoint, data)
  local event = data.event
  if event == world.websocket.EVENT_CONNECTED then
    endpoint:on_connected()
    endpoint:on_verdict("open")
  elseif event == world.websocket.EVENT_MESSAGE then
    endpoint:on_message(data.message, data.type)
  elseif event == world.websocket.EVENT_ERROR then
    endpoint:on_error(data.message)
    if data.handshake_response then
      endpoint:on_verdict(data.handshake_response.status)
    end
  elseif event == world.websocket.EVENT_DISCONNECTED then
    endpoint:on_disconnected(data.code, data.reason)
  else
    endpoint:broken("an unknown event " .. tostring(event))
  end
  journal.note("event", endpoint.name, event, #data.message)
end

-- For `connect`: one connection.
function reactions.callback_of(endpoint, R)
  local function callback(_, connection, data)
    reactions.told(endpoint, data)
    react(R, 1, connection, endpoint)
  end
  ledger.watch(callback, "the callback of " .. endpoint.name)
  return callback
end

-- For `listen`: as many as come.
function reactions.accepting_callback(house)
  local streams = setmetatable({}, { __mode = "k" })
  local function callback(_, connection, data)
    local endpoint, is_new = house:member(connection, data)
    if is_new then
      streams[connection] = world.stream("accepted")
      world.hold(world.connections, connection, endpoint)
    end
    reactions.told(endpoint, data)
    react(streams[connection], 1, connection, endpoint)
  end
  ledger.watch(callback, "the callback of a server")
  return callback
end

-- For an object, which `handle` has at 1.
function reactions.listener(endpoint, R, handle)
  return function(event)
    journal.note("object", endpoint.name, tostring(event.type))
    if event.type == "open" then
      endpoint:on_connected()
    elseif event.type == "message" then
      endpoint:on_message(event.data, event.binary and 2 or 1)
    elseif event.type == "error" then
      endpoint:on_error(event.message)
    elseif event.type == "close" then
      endpoint:on_disconnected(event.code)
    end
    if R:once_in(6) then
      faults.raise(R)
    elseif R:once_in(4) then
      actions.act(R, 2)
    elseif R:once_in(4) and handle[1] then
      world.try("send of an object", function()
        handle[1]:send("?")
      end)
    end
  end
end

return reactions
