--- Calls back after a while.
local _, _, internal = ...

local native = internal.native

local Alarm = {}
Alarm.__index = Alarm

--- After `delay_ms`, from within `update`: `callback(owner)`. An error of it leaves `update`.
function Alarm.new(delay_ms, callback, owner)
  local alarm = setmetatable({ owner = owner, id = 0 }, Alarm)
  alarm.callback = internal.kept(callback, alarm, "cancel", nil, 2)
  native.set_timer(alarm, alarm, delay_ms)
  return alarm
end

--- At once. Nothing, when it has rung.
function Alarm:cancel()
  native.cancel_timer(self.id)
end

return Alarm
