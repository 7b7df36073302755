-- The server of the Autobahn test suite: prints its URL, and echoes until it is killed.
--   luajit tests/autobahn/server.lua
local websocket = require("websocket")

local params = { host = "127.0.0.1", port = 0, max_message_size = 64 * 1024 * 1024 }

local server = websocket.listen(params, function(_, connection, data)
  if data.event == websocket.EVENT_MESSAGE then
    connection:send(data.message, { type = data.type })
  end
end)

io.stdout:write(server.url, "\n")
io.stdout:flush()
websocket.run()
