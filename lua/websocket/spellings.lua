--- Methods that say in other words what the members of the standard say.
local EventTarget = require("websocket.EventTarget")
local Exception = require("websocket.exception")

local spellings = {}

--- What a handler of `addListener` gets of an event.
local function payload(event)
  if event.type == "message" then
    return event.data
  elseif event.type == "close" then
    return { code = event.code, reason = event.reason, wasClean = event.wasClean }
  end
end

--- `handler(name, payload, passed, binary)` at every event of this name; `binary` is a
--- message's.
function spellings:addListener(name, handler, passed)
  if type(handler) ~= "function" then
    Exception.expected("the handler", "a function", handler)
  end
  EventTarget.addEventListener(self, name, function(event)
    handler(event.type, payload(event), passed, event.binary)
  end)
  return self
end

function spellings:sendBytes(data)
  if data == nil then
    Exception.expected("the data of socket:sendBytes(data)", "a string", data)
  end
  return self:send(data, "binary")
end

function spellings:getReadyState()
  return self.readyState
end

function spellings:getUrl()
  return self.url
end

function spellings:getBinaryType()
  return self.binaryType
end

function spellings:setBinaryType(value)
  self.binaryType = value
  return self
end

return spellings
