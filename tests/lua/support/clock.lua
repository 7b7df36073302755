-- Waiting for things themselves, with a deadline.
local system = require("system")

local clock = { now = system.monotime }

-- A wait that ends costs nothing of it; on a machine that is shared by thirty, one took 20.
local DEADLINE_SECONDS = 60

-- Calls `step` until `condition` holds, or raises at the caller's caller.
function clock.drive(condition, step, what, seconds)
  local deadline = clock.now() + (seconds or DEADLINE_SECONDS)
  while not condition() do
    if clock.now() > deadline then
      error("timed out waiting for " .. (what or "the condition"), 3)
    end
    step()
  end
end

function clock.rest()
  system.sleep(0.002)
end

-- For what no event announces: a thread that ends, a file that appears.
function clock.poll(condition, what, seconds)
  clock.drive(condition, clock.rest, what, seconds)
end

-- How many milliseconds a call took.
function clock.milliseconds(call)
  local began = clock.now()
  call()
  return (clock.now() - began) * 1000
end

-- The shortest of what up to five calls of `measure` return: a busy machine makes this or that one
-- late, and not all. One below `limit` is enough.
function clock.best(limit, measure)
  local best = math.huge
  for _ = 1, 5 do
    best = math.min(best, measure())
    if best < limit then
      break
    end
  end
  return best
end

return clock
