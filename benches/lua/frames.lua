--- A game that lost time: COUNT messages of SIZE bytes wait, and each frame calls `update(2)`.
--- `frames.lua URL COUNT SIZE` tells what a message costs, and how long the frames take.

local websocket = require("websocket")

local BUDGET_MS = 2
local url, count, size = arg[1], tonumber(arg[2]), tonumber(arg[3])
local received = 0

local connection = websocket.connect(("%s/blast/%d/%d"):format(url, count, size), {
  compression = false,
  max_receive_queue = 2 ^ 30,
}, function(_, connection, data)
  if data.event == websocket.EVENT_CONNECTED then
    websocket.send(connection, "go")
  elseif data.event == websocket.EVENT_MESSAGE then
    received = received + 1
  else
    error(data.message)
  end
end)
while connection:state() == "connecting" do
  websocket.wait()
end
repeat
  os.execute("sleep 0.05")
until connection:stats().messages_received == count

local frames, drained = {}, 0
while received < count do
  local begin = websocket.now()
  websocket.update(BUDGET_MS)
  local took = websocket.now() - begin
  drained = drained + took
  frames[#frames + 1] = took
end
-- The last frame ends when all is delivered.
frames[#frames] = nil
table.sort(frames)
print(
  ('{"us": %.4f, "frames": %d, "p50_ms": %.3f, "p99_ms": %.3f, "max_ms": %.3f}'):format(
    drained * 1000 / count,
    #frames,
    frames[math.ceil(#frames / 2)] or 0,
    frames[math.ceil(#frames * 0.99)] or 0,
    frames[#frames] or 0
  )
)
os.exit(0)
