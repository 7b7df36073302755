--- As receive.lua, with the browser's object: `object.lua URL COUNT SIZE`.

local websocket = require("websocket")
local report = require("report")

local url, count, size = arg[1], tonumber(arg[2]), tonumber(arg[3])
local received, begin, elapsed = 0, nil, nil

local socket = websocket.WebSocket(("%s/blast/%d/%d"):format(url, count, size), nil, {
  compression = false,
  allowAnyPort = true,
})
function socket.onopen()
  begin = websocket.now()
  socket:send("go")
end
function socket.onmessage(event)
  assert(#event.data == size)
  received = received + 1
  if received == count then
    elapsed = websocket.now() - begin
    socket:close()
  end
end
websocket.run()
report(elapsed, count)
