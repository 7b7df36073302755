-- Straight-line code: three coroutines, a connection each, all at the same time.
--
--   lua examples/coroutines.lua
local websocket = require("websocket")

local TEXT = { type = websocket.DATA_TYPE_TEXT }

-- A server that counts down from what it is told.
local server = assert(websocket.listen({}, function(_, connection, data)
  if data.event == websocket.EVENT_MESSAGE then
    for i = tonumber(data.message), 1, -1 do
      connection:send(tostring(i), TEXT)
    end
    connection:disconnect(1000, "lift-off")
  end
end))

local running = 0

local function count_down(from)
  local connection = assert(websocket.open(server.url))
  connection:send(tostring(from), TEXT)
  local heard = {}
  local message, reason = connection:receive()
  while message do
    heard[#heard + 1] = message
    message, reason = connection:receive() -- in the end: nil, and why
  end
  print(("from %d: %s, %s"):format(from, table.concat(heard, " "), reason))
end

for from = 3, 5 do
  running = running + 1
  coroutine.wrap(function()
    count_down(from)
    running = running - 1
  end)()
end

while running > 0 do
  websocket.wait()
end

-- Outside a coroutine the same calls wait.
count_down(2)
server:close()
websocket.run()
