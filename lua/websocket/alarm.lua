--- Calls back after a while. The module has no timers, but a connection that waits before it
--- dials: one without a URL ends as soon as its delay is over, and meets no network.
local websocket = ...

local Alarm = {}
Alarm.__index = Alarm

local function ring(alarm, _, data)
  if data.event ~= websocket.EVENT_DISCONNECTED then
    return
  end
  alarm.connection = nil
  if not alarm.cancelled then
    alarm.callback(alarm.owner)
  end
end

--- After `delay_ms`, from within `update`: `callback(owner)`.
function Alarm.new(delay_ms, callback, owner)
  local alarm = setmetatable({ callback = callback, owner = owner, cancelled = false }, Alarm)
  alarm.connection = websocket.connect("", { delay = delay_ms, self = alarm }, ring)
  return alarm
end

function Alarm:cancel()
  self.cancelled = true
  if self.connection then
    websocket.disconnect(self.connection)
  end
end

return Alarm
