-- After each test: no thread, no descriptor and no connection may be left of it.
local clock = require("support.clock")
local process = require("support.process")
local websocket = require("websocket")

local leaks = {}

local DEADLINE_SECONDS = 5

local before
local watched = setmetatable({}, { __mode = "k" })

-- An object whose memory must be free when the test has ended.
function leaks.watch(object)
  watched[object] = true
end

local function count_watched()
  local count = 0
  for _ in pairs(watched) do
    count = count + 1
  end
  return count
end

local function measure()
  if jit then -- compiled traces hold what they were recorded with
    jit.flush()
  end
  collectgarbage()
  collectgarbage()
  return {
    threads = process.threads(),
    descriptors = process.descriptors(),
    references = count_watched(),
  }
end

local function grown(now)
  for name, amount in pairs(now) do
    if amount > before[name] then
      return ("%d %s left, %d before the test"):format(amount, name, before[name])
    end
  end
end

function leaks.begin()
  before = measure()
end

-- Ends what a failed test left open, for the tests after it.
local function abandon()
  for object in pairs(watched) do
    local finish = object.disconnect or object.close
    if finish then
      finish(object)
    end
    watched[object] = nil
  end
  pcall(websocket.wait, 100)
end

function leaks.check(test)
  local left
  local clean = pcall(clock.poll, function()
    -- A server of the test may hear of a client only now.
    pcall(websocket.update)
    left = grown(measure())
    return not left
  end, "the end of what the test began", DEADLINE_SECONDS)
  if not clean then
    abandon()
    error(("%s: %s"):format(test, left), 0)
  end
end

return leaks
