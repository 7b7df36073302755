--- A clock that stands still until a test moves it: `websocket.now()`, and with it the delays of a
--- ReconnectingWebSocket and the timeouts of coroutines.
local websocket, _, internal = ...

local Alarm = require("websocket.alarm")
local text = require("websocket.testing_text")

local native = internal.native

local Clock = {}
Clock.__index = Clock

--- It stands still from now on.
function Clock.new()
  local clock = setmetatable({
    time = math.ceil(websocket.now()), -- whole, so that sums of whole delays are exact
    alarms = {},
    timers = Alarm.timers,
    former_now = websocket.now,
    is_running = false,
  }, Clock)
  Alarm.timers = {
    set = function(alarm, delay_ms)
      clock:set(alarm, delay_ms)
    end,
    cancel = function(alarm)
      clock:cancel(alarm)
    end,
  }
  websocket.now = function()
    return clock.time
  end
  return clock
end

--- Behind all that are due before it, or at the same time.
function Clock:set(alarm, delay_ms)
  local due = self.time + math.max(delay_ms, 0)
  local index = #self.alarms + 1
  while index > 1 and self.alarms[index - 1].due > due do
    index = index - 1
  end
  table.insert(self.alarms, index, { due = due, alarm = alarm })
end

function Clock:cancel(alarm)
  for index, waiting in ipairs(self.alarms) do
    if waiting.alarm == alarm then
      table.remove(self.alarms, index)
      return
    end
  end
  self.timers.cancel(alarm) -- set before the clock stood still, or due already
end

local function check_standing(clock, level)
  if clock.is_running then
    error("this clock runs again", level + 1)
  elseif native.delivers() then
    error("a callback cannot move the clock", level + 1)
  end
end

--- Milliseconds, as `websocket.now()`.
function Clock:now()
  return self.time
end

--- How long until the first alarm is due; nil: there is none.
function Clock:next()
  local first = self.alarms[1]
  return first and first.due - self.time
end

--- Moves it. All that comes due rings meanwhile, in order, each at its own time.
function Clock:advance(ms)
  if type(ms) ~= "number" then
    text.argument(1, "ms", "number", ms, 2)
  end
  text.check_ms(1, "ms", ms, 2)
  check_standing(self, 2)
  local target = self.time + ms
  while self.alarms[1] and self.alarms[1].due <= target do
    local first = table.remove(self.alarms, 1)
    self.time = first.due
    self.timers.set(first.alarm, 0)
    websocket.update()
  end
  self.time = target
end

--- It goes on by itself; what waits rings after the time that is left of it.
function Clock:release()
  if self.is_running then
    return
  end
  self.is_running = true
  Alarm.timers, websocket.now = self.timers, self.former_now
  for _, waiting in ipairs(self.alarms) do
    self.timers.set(waiting.alarm, waiting.due - self.time)
  end
  self.alarms = {}
end

return Clock
