--- A list of functions to call: `signal:connect(fn)`, `signal:disconnect(fn)`.
local EventTarget = require("websocket.EventTarget")
local Exception = require("websocket.exception")

local Signal = {}
Signal.__index = Signal

function Signal.new()
  return setmetatable({ slots = {} }, Signal)
end

local function without(slots, slot)
  local rest = {}
  for _, other in ipairs(slots) do
    if other ~= slot then
      rest[#rest + 1] = other
    end
  end
  return rest
end

--- The same function twice counts once. Returns it, for `disconnect`.
function Signal:connect(slot)
  if type(slot) ~= "function" then
    Exception.expected("what newConnection:connect(handler) is given", "a function", slot)
  end
  local slots = without(self.slots, slot)
  slots[#slots + 1] = slot
  self.slots = slots
  return slot
end

function Signal:disconnect(slot)
  self.slots = without(self.slots, slot)
end

--- Calls those that were connected when it began; the error of one does not stop the others.
function Signal:emit(a, b)
  for _, slot in ipairs(self.slots) do
    EventTarget.call(slot, a, b)
  end
end

return Signal
