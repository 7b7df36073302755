--- Opens COUNT connections at once: `open.lua URL COUNT [IDLE_MS [CA]]` tells how long it took
--- from the first `connect` to the last CONNECTED; and, after it has left them idle for a while,
--- what each costs in resident memory, and how much CPU time the process took meanwhile.

local websocket = require("websocket")

local url, count, idle_ms, ca = arg[1], tonumber(arg[2]), tonumber(arg[3]), arg[4]
local open = 0

local function resident_kib()
  for line in io.lines("/proc/self/status") do
    local kib = line:match("^VmRSS:%s*(%d+)")
    if kib then
      return tonumber(kib)
    end
  end
end

local function connect()
  websocket.connect(url .. "/echo", {
    compression = false,
    timeout = 60000,
    tls = ca and { ca = ca },
  }, function(_, _, data)
    assert(data.event == websocket.EVENT_CONNECTED, data.message)
    open = open + 1
  end)
end

-- What the first connection sets up for all is not counted.
connect()
while open < 1 do
  websocket.wait()
end
collectgarbage()
local before = resident_kib()
local begin = websocket.now()
for _ = 1, count do
  connect()
end
while open < count + 1 do
  websocket.wait()
end
local opened = websocket.now() - begin
if not idle_ms then
  print(('{"seconds": %.4f}'):format(opened / 1000))
  os.exit(0)
end

-- A connection that is quiet gives back memory, once.
websocket.wait(2000)
collectgarbage()
local each = (resident_kib() - before) / count
-- The clock adds up what thousands of threads have used, which takes its time too.
local first = os.clock()
local second = os.clock()
assert(websocket.wait(idle_ms) == 0)
local cpu = math.max(os.clock() - second - (second - first), 0)
print(('{"seconds": %.4f, "kib": %.2f, "cpu_ms": %.3f}'):format(opened / 1000, each, cpu * 1000))
os.exit(0)
