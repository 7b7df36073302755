--- Calls back after a while.
local _, _, internal = ...

local native = internal.native

local Alarm = {}
Alarm.__index = Alarm

--- Where alarms wait. The clock of `websocket.testing` takes this place while it stands still.
Alarm.timers = {}

function Alarm.timers.set(alarm, delay_ms)
  native.set_timer(alarm, alarm, delay_ms)
end

function Alarm.timers.cancel(alarm)
  native.cancel_timer(alarm.id)
end

--- After `delay_ms`, from within `update`: `callback(owner)`. An error of it leaves `update`.
function Alarm.new(delay_ms, callback, owner)
  local alarm = setmetatable({ owner = owner, id = 0 }, Alarm)
  alarm.callback = internal.kept(callback, alarm, "cancel", nil, 2)
  Alarm.timers.set(alarm, delay_ms)
  return alarm
end

--- At once. Nothing, when it has rung.
function Alarm:cancel()
  Alarm.timers.cancel(self)
end

return Alarm
