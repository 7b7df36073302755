-- A chat for web pages. Start it, then open examples/chat/index.html in two browser windows.
--
--   lua examples/chat/server.lua [PORT]
local websocket = require("websocket")

local port = math.floor(tonumber(arg and arg[1]) or 8080)

local server = websocket.WebSocketServer({
  port = port,
  protocols = { "chat" },
  max_message_size = 4096,
})

---@type table<websocket.WebSocket, string?> the name of each member
local members = {}

local function tell_all(line)
  print(line)
  for socket in pairs(members) do
    socket:send(line)
  end
end

local function leave(event, socket)
  local name = members[socket]
  members[socket] = nil
  if name then
    tell_all(("%s left (%d)"):format(name, event.code))
  end
end

-- The first message of a page is the name of its user.
local function hear(event, socket)
  local name = members[socket]
  if name then
    tell_all(name .. ": " .. event.data)
  else
    members[socket] = event.data
    tell_all(event.data .. " joined")
  end
end

server.onconnection = function(socket)
  socket.onmessage = hear
  socket.onclose = leave
end

io.stdout:setvbuf("line")
print("listening at " .. server.url)
websocket.run()
