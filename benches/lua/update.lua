--- Calls `update` COUNT times with nothing queued and CONNECTIONS idle connections:
--- `update.lua URL CONNECTIONS COUNT`.

local websocket = require("websocket")
local report = require("report")

local url, connections, count = arg[1], tonumber(arg[2]), tonumber(arg[3])
local open = 0

for _ = 1, connections do
  websocket.connect(url .. "/echo", { compression = false, timeout = 30000 }, function(_, _, data)
    assert(data.event == websocket.EVENT_CONNECTED, data.message)
    open = open + 1
  end)
end
while open < connections do
  websocket.wait()
end
-- A connection that is quiet for a second gives memory back; then all of them are idle.
websocket.wait(1500)

local update = websocket.update
local begin = websocket.now()
for _ = 1, count do
  update()
end
report(websocket.now() - begin, count)
os.exit(0)
