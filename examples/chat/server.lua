-- A chat for web pages. Start it, then open the address that it prints in two browser windows.
--
--   lua examples/chat/server.lua [PORT]
local websocket = require("websocket")

local port = math.floor(tonumber(arg and arg[1]) or 8080)
local folder = tostring(arg and arg[0]):match("^(.*[/\\])") or ""

local function read(path)
  local file = assert(io.open(path, "rb"))
  local content = file:read("*a")
  file:close()
  return content
end

local page = read(folder .. "index.html")

-- Only this page may connect: an `Origin` that is not the server's own is refused.
local server = websocket.WebSocketServer({
  port = port,
  protocols = { "chat" },
  max_message_size = 4096,
  request = function(request)
    if request.path == "/" then
      return 200, { ["Content-Type"] = "text/html; charset=utf-8" }, page
    end
  end,
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
  if event.binary then
    socket:close(1003, "text only") -- what is no text cannot be told as one
  elseif name then
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
print("listening at http://127.0.0.1:" .. server.port)
websocket.run()
