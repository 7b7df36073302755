-- For host.c: a server and a client that talk once; then the host may end.
local websocket = require("websocket")

local over = false
local server = assert(websocket.listen({}, function(_, connection, data)
  if data.event == websocket.EVENT_MESSAGE then
    connection:send("You said: " .. data.message)
  end
end))

websocket.connect(server.url, nil, function(_, connection, data)
  if data.event == websocket.EVENT_CONNECTED then
    connection:send("hello")
  elseif data.event == websocket.EVENT_MESSAGE then
    print(data.message)
    connection:disconnect()
  elseif data.event == websocket.EVENT_DISCONNECTED then
    server:close()
    over = true
  end
end)

return function()
  return over
end
