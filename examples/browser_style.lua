-- The browser's WebSocket in Lua, against a server in the same script.
--
--   lua examples/browser_style.lua
local websocket = require("websocket")

local server = websocket.WebSocketServer({ protocols = { "greeting" } })

server.onconnection = function(client, request)
  print("server: a client at " .. request.path .. ", speaking " .. client.protocol)
  client.onmessage = function(event)
    client:send("Hello, " .. event.data .. "!")
  end
  client.onclose = function(event)
    print("server: closed, " .. event.code .. " " .. event.reason)
    server:close()
  end
end

local socket = websocket.WebSocket(server.url .. "/room", "greeting")

socket.onopen = function()
  print("client: open")
  socket:send("World")
end

socket.onmessage = function(event)
  print("client: " .. event.data)
  socket:close(1000, "that was all")
end

socket.onerror = function(event)
  print("client: " .. event.name .. ", " .. event.message)
end

socket:addEventListener("close", function(event)
  print("client: closed, " .. event.code .. (event.wasClean and ", clean" or ", not clean"))
end)

-- A game or an editor calls websocket.update() in each frame instead.
websocket.run()
