-- A server of ours in a process of its own, which sends every message back. Prints its port.
local websocket = require("websocket")

local server = assert(websocket.listen({ timeout = 120000 }, function(_, connection, data)
  if data.event == websocket.EVENT_MESSAGE and connection:state() == "open" then
    connection:send(data.message, { type = data.type })
  end
end))
print(0, server.port)
io.stdout:flush()
websocket.run()
