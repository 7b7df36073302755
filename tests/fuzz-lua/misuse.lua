-- Action: anything to anybody.
local journal = require("journal")
local values = require("values")
local world = require("world")

local actions = world.actions

local unpack = table.unpack or unpack

local FUNCTIONS = {
  "connect",
  "send",
  "disconnect",
  "update",
  "wait",
  "fd",
  "now",
  "listen",
  "open",
  "createWebSocket",
  "WebSocket",
  "ReconnectingWebSocket",
  "WebSocketServer",
  "EventTarget",
} -- stylua: ignore
local METHODS = {
  "send",
  "disconnect",
  "state",
  "buffered",
  "pause",
  "resume",
  "stats",
  "receive",
  "messages",
  "close",
  "connections",
  "broadcast",
  "reload",
  "destroy",
  "addEventListener",
  "removeEventListener",
  "dispatchEvent",
  "sendBytes",
  "addListener",
  "setBinaryType",
  "getReadyState",
  "getUrl",
  "nothing",
} -- stylua: ignore

local function junk_arguments(R, count)
  local arguments = {}
  for index = 1, count do
    arguments[index] = values.junk(R)
  end
  return arguments
end

-- Times that are in order would be waited for.
local function without_times(arguments)
  for index, value in pairs(arguments) do
    if type(value) == "number" and (value > 20 or value ~= value) then
      arguments[index] = 1
    end
  end
  return arguments
end

-- These wait for ever where they are given no time.
local WAITS = { wait = true, receive = true }

-- Anything to anybody.
function actions.misuse(R)
  local count = R:upto(4) - 1
  local arguments = junk_arguments(R, count)
  if R:once_in(2) then
    local name = R:pick(FUNCTIONS)
    journal.note("misuse of", name)
    if name == "wait" or name == "update" or name == "open" then
      arguments = without_times(arguments)
    end
    if WAITS[name] and arguments[1] == nil then
      arguments[1] = 0
    end
    local ok, made = world.try(name .. " with anything", function()
      local result = world.websocket[name](unpack(arguments, 1, 4))
      return result
    end)
    if ok and type(made) == "table" and name ~= "EventTarget" then
      world.let_go(made)
    end
    return
  end
  local list = R:pick({ world.connections, world.servers, world.objects })
  local handle, endpoint = world.any(R, list)
  handle = handle or world.websocket
  local name = R:pick(METHODS)
  journal.note("misuse of", name, type(handle))
  local known, method = pcall(function()
    local method = handle[name]
    return method
  end)
  if known and type(method) == "function" and type(handle) == "table" then
    if WAITS[name] and arguments[1] == nil then
      arguments[1] = 0
    end
    if name == "send" and endpoint then
      endpoint.foreign = true -- an echo of what is taken
    end
    world.try(name .. " with anything", function()
      local receiver = list == world.connections and R:once_in(4) and values.junk(R) or handle
      local result = method(receiver, unpack(without_times(arguments), 1, 4))
      return result
    end)
  end
end
