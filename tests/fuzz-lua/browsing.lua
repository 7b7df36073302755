-- Action: who wants no WebSocket of a server, with LuaSocket where that can be loaded.
local journal = require("journal")
local world = require("world")

local actions = world.actions

local has_socket, socket = pcall(require, "socket")

local OPEN = 4 -- at once; the oldest is closed

local REQUESTS = {
  "GET /page?a=1&b=%20 HTTP/1.1\r\nHost: localhost\r\n\r\n",
  "GET / HTTP/1.1\r\nHost: localhost\r\n\r\nGET /2 HTTP/1.1\r\nHost: localhost\r\n\r\n",
  "HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
  "GET / HTTP/1.0\r\n\r\n",
  "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx",
  "GET / HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n",
  "GET / HTTP/1.1\r\nHo",
  "\r\n\r\n",
} -- stylua: ignore

local visits = {}

local function visit(R, port)
  local client = socket.tcp()
  client:settimeout(0.2)
  local request = R:pick(REQUESTS)
  if client:connect("127.0.0.1", port) and client:send(request) then
    client:settimeout(0)
    visits[#visits + 1] = { client, "" }
    journal.note("browse", request:match("^%C*"))
  else
    client:close()
  end
end

local function read(one)
  local all, problem, part = one[1]:receive(100000)
  one[2] = (one[2] .. (all or part or "")):sub(1, 20)
  local status = one[2]:match("^HTTP/1%.1 (%d%d%d) ")
  if #one[2] >= 13 and not status then
    journal.fail(("a server answers %q"):format(one[2]))
  end
  return problem == "closed"
end

function actions.browse(R)
  -- Then LuaSocket may be unloaded already.
  if world.is_closing then
    return
  end
  for index = #visits, 1, -1 do
    if read(visits[index]) then
      table.remove(visits, index)[1]:close()
    end
  end
  local server = world.any(R, world.servers)
  local port = server and server.port or 0
  if has_socket and port > 0 then
    if #visits == OPEN then
      table.remove(visits, 1)[1]:close()
    end
    visit(R, port)
  end
end

function world.stop_browsing()
  for index = #visits, 1, -1 do
    table.remove(visits, index)[1]:close()
  end
end
