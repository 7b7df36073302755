--- lua-http on cqueues: `lua_http_client.lua URL MODE COUNT SIZE`.

local cqueues = require("cqueues")
local http_websocket = require("http.websocket")
local report = require("report")

local url, mode, count, size = arg[1], arg[2], tonumber(arg[3]), tonumber(arg[4])
local paths = { receive = ("/blast/%d/%d"):format(count, size), send = "/sink", echo = "/echo" }
local message = ("\0"):rep(size)
local laps

local function now()
  return cqueues.monotime() * 1000
end

local socket = http_websocket.new_from_uri(url .. paths[mode])
assert(socket:connect(10))
socket.socket:setmaxline(2 ^ 30)
local begin = now()
if mode == "receive" then
  assert(socket:send("go", "text"))
  for _ = 1, count do
    assert(socket:receive())
  end
elseif mode == "send" then
  for _ = 1, count do
    assert(socket:send(message, "binary"))
  end
  assert(socket:send("stat", "text"))
  assert(tonumber((socket:receive())) == count, "the peer lost messages")
else
  laps = {}
  for i = 1, count do
    local sent = now()
    assert(socket:send(message, "binary"))
    assert(socket:receive())
    laps[i] = now() - sent
  end
end
report(now() - begin, count, laps)
os.exit(0)
