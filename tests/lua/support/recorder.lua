-- Records the events of one connection, in their order.
local clock = require("support.clock")
local leaks = require("support.leaks")
local websocket = require("websocket")

local Recorder = {}
Recorder.__index = Recorder

local NAMES = {
  [websocket.EVENT_CONNECTED] = "CONNECTED",
  [websocket.EVENT_DISCONNECTED] = "DISCONNECTED",
  [websocket.EVENT_MESSAGE] = "MESSAGE",
  [websocket.EVENT_ERROR] = "ERROR",
}

local function step()
  websocket.wait(50)
end

-- `react` maps names of events to functions that are called inside the callback.
local function new(react)
  local recorder = setmetatable({ events = {}, react = react or {} }, Recorder)
  leaks.watch(recorder)
  recorder.callback = function(owner, connection, data)
    leaks.watch(connection)
    data.name = NAMES[data.event]
    data.owner = owner
    recorder.events[#recorder.events + 1] = data
    local reaction = recorder.react[data.name]
    if reaction then
      reaction(connection, data, owner)
    end
  end
  return recorder
end

function Recorder:names()
  local names = {}
  for index, data in ipairs(self.events) do
    names[index] = data.name
  end
  return names
end

function Recorder:count(name)
  local count = 0
  for _, data in ipairs(self.events) do
    count = count + (data.name == name and 1 or 0)
  end
  return count
end

-- The first event of that name, or nil.
function Recorder:find(name)
  for _, data in ipairs(self.events) do
    if data.name == name then
      return data
    end
  end
end

function Recorder:messages()
  local messages = {}
  for _, data in ipairs(self.events) do
    if data.name == "MESSAGE" then
      messages[#messages + 1] = data.message
    end
  end
  return messages
end

-- Updates until there are `count` events of that name, and returns the first.
function Recorder:wait(name, count, seconds)
  clock.drive(function()
    return self:count(name) >= (count or 1)
  end, step, ("%s, after %s"):format(name, table.concat(self:names(), " ")), seconds)
  return self:find(name)
end

return { new = new, step = step }
