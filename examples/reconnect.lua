-- A connection that survives its server: what is sent in between arrives later.
--
--   lua examples/reconnect.lua
local websocket = require("websocket")

local function start_server(port)
  local server = websocket.WebSocketServer({ port = port })
  server.onconnection = function(client)
    client.onmessage = function(event)
      print("server: got " .. event.data)
      client:send("thanks for " .. event.data)
    end
  end
  return server
end

local server = start_server(0)
local port = server.port

local socket = websocket.ReconnectingWebSocket(server.url, nil, {
  minDelay = 50, -- milliseconds; each retry waits longer, up to maxDelay, at random
  maxDelay = 1000,
})

socket.onconnecting = function(event)
  print("client: attempt " .. event.attempt)
end

socket.onopen = function()
  print("client: open")
end

socket.onmessage = function(event)
  print("client: " .. event.data)
  if event.data == "thanks for the first" then
    print("the server goes away")
    server:close()
  else
    socket:close()
  end
end

socket.onclose = function(event)
  print("client: closed with " .. event.code)
  if event.willReconnect then
    socket:send("the second") -- waits in the outbox
    server = start_server(port)
  else
    server:close()
  end
end

socket:send("the first") -- not open yet: waits too
websocket.run()
