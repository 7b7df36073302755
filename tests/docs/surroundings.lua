-- What stands around the blocks that are parts of programs, `before` and `after` them, and what
-- such a program then prints.
local surroundings = {}

local MODULE = 'local websocket = require("websocket")\n'

surroundings.tokens = {
  before = MODULE .. [[
local server = assert(websocket.listen({
  authorize = function(request)
    return request.headers.authorization == "Bearer 0f6b" or 401, nil, "Which token do you have?"
  end,
}, function(_, connection, data)
  if data.event == websocket.EVENT_CONNECTED then
    connection:send("welcome")
  end
end))
local url = server.url
local said = 0
local function print(text)
  io.write(text, "\n")
  said = said + 1
end
for _, token in ipairs({ "0f6b", "77aa" }) do
]],
  after = [[
  local before = said
  while said == before do
    websocket.wait()
  end
  connection:disconnect()
end
server:close()
websocket.run()
]],
  prints = "welcome\n401: Which token do you have?\n",
}

-- It has no end, and its port may be somebody's.
surroundings.echo = {
  before = MODULE .. [[
local print, listen, run = function() end, websocket.listen, websocket.run
local listening
function websocket.listen(params, callback)
  assert(params.port == 8080)
  listening = assert(listen({}, callback))
  return listening
end
function websocket.run()
  local connection = assert(websocket.open(listening.url))
  connection:send("hello")
  io.write(assert(connection:receive(20000)), "\n")
  connection:disconnect()
  listening:close()
  run()
end
]],
  after = "",
  prints = "hello\n",
}

surroundings.nvim_server = {
  host = "nvim",
  before = MODULE .. [[
require("websocket.nvim")
local page, opened = "<title>preview</title>", nil
vim.ui.open = function(url)
  opened = url
end
]],
  after = [[
assert(opened == "http://127.0.0.1:" .. server.port, opened)
websocket.connect(server.url, { headers = { Origin = opened } }, function(_, connection, data)
  if data.event == websocket.EVENT_CONNECTED then
    vim.api.nvim_buf_set_lines(0, 0, -1, true, { "a line", "another" })
    vim.api.nvim_exec_autocmds("TextChanged", {})
  elseif data.event == websocket.EVENT_MESSAGE then
    assert(data.message == "a line\nanother", data.message)
    connection:disconnect()
  elseif data.event == websocket.EVENT_DISCONNECTED then
    vim.cmd("qall!")
  end
end)
]],
}

surroundings.instances = {
  before = MODULE .. [[
local engine = { running = "the one that connects" }
function engine.running_instance()
  return engine.running
end
function engine.run_in(owner, callback, ...)
  engine.running = owner
  callback(...)
end
]],
  after = [[
local server = assert(websocket.listen({}, function() end))
websocket.connect(server.url, nil, function(_, connection, data)
  if data.event == websocket.EVENT_CONNECTED then
    print(engine.running)
    connection:disconnect()
    server:close()
  end
end)
engine.running = "another"
websocket.run()
]],
  prints = "the one that connects\n",
}

surroundings.certificate = {
  before = MODULE .. [[
local certificate, key = CERTIFICATE, KEY
local function on_event() end
]],
  after = [[
print(server.url:match("^wss"))
server:close()
websocket.run()
]],
  prints = "wss\n",
}

surroundings.authorize = {
  before = 'local users = { ["0f6b"] = "Ada" }\n',
  after = [[
print((authorize({ headers = {}, query = { token = "77aa" } })))
local _, acceptance = authorize({ headers = { authorization = "Bearer 0f6b" }, query = {} })
print(acceptance.user)
]],
  prints = "401\nAda\n",
}

surroundings.request = {
  before = MODULE .. [[
local page = "<title>home</title>"
local server = assert(websocket.listen({}, function() end))
]],
  after = [[
print((select(3, answer({ path = "/" }))))
print((select(3, answer({ path = "/health" }))))
print(answer({ path = "/nowhere" }))
server:close()
]],
  prints = "<title>home</title>\n0\n\n",
}

-- Its loop has no end, so its second minute brings another certificate, and its third one ends it.
surroundings.renewal = {
  before = MODULE .. [[
local function copy(from, to)
  local source, target = assert(io.open(from, "rb")), assert(io.open(to, "wb"))
  target:write(source:read("*a"))
  source:close()
  target:close()
end
copy(CERTIFICATE, "fullchain.pem")
copy(KEY, "privkey.pem")
local server = assert(websocket.listen({ tls = {
  certificate = "fullchain.pem",
  key = "privkey.pem",
} }, function() end))
local waits = 0
function websocket.wait()
  waits = waits + 1
  if waits == 2 then
    copy(OTHER_CERTIFICATE, "fullchain.pem")
    copy(OTHER_KEY, "privkey.pem")
  elseif waits == 3 then
    error("the third minute")
  end
end
local ended, why = pcall(function()
]],
  after = [[
end)
assert(not ended and why:find("the third minute"), why)
server:close()
websocket.run()
]],
  prints = "a new certificate\n",
}

surroundings.feed = {
  before = MODULE .. [[
local server = websocket.WebSocketServer({})
server.onconnection = function(client)
  client.onmessage = function(event)
    assert(event.data == "subscribe weather after 0", event.data)
    client:send("1 sun"):send("1 sun"):send("2 rain"):close()
  end
end
local socket, last = websocket.ReconnectingWebSocket(server.url), 0
]],
  after = [[
socket.onclose = function()
  server:close()
end
websocket.run()
]],
  prints = "sun\nrain\n",
}

surroundings.fresh = {
  before = MODULE .. [[
local function fresh_token()
  return "0f6b"
end
]],
  after = [[
socket.onopen = function()
  print(socket.url:match("%?.*$"))
  socket:close()
end
websocket.run()
]],
  prints = "?token=0f6b\n",
}

surroundings.browser = {
  before = MODULE .. [[
local server = websocket.WebSocketServer({ protocols = "chat" })
server.onconnection = function(client)
  client.onmessage = function(event)
    client:send("You said: " .. event.data):close()
  end
end
local url = server.url
]],
  after = [[
socket.onclose = function()
  server:close()
end
websocket.run()
]],
  prints = "You said: hello\n",
}

surroundings.jsonrpc = {
  before = ("package.path = %q .. package.path\n"):format(
    require("lfs").currentdir() .. "/examples/jsonrpc/?.lua;"
  ) .. MODULE .. [[
local json, jsonrpc = require("dkjson"), require("jsonrpc")
local methods = {}
function methods.log(params)
  assert(params[1] == "hello")
end
function methods.add(params)
  return params[1] + params[2]
end
function methods.divide()
  error({ code = 1, message = "by nothing" })
end
local server, pong = websocket.WebSocketServer({}), nil
server.onconnection = function(client)
  local function send(text)
    client:send(text)
  end
  local rpc = jsonrpc.new({ send = send, json = json, methods = methods })
  client.onmessage = function(event)
    rpc:receive(event.data)
  end
  client.onclose = function()
    server:close()
  end
  rpc:request("ping", nil, function(result)
    pong = result
  end)
end
local url = server.url
]],
  after = [[
websocket.run()
assert(pong == "pong", pong)
]],
  prints = "3\nby nothing\n",
}

surroundings.defold = {
  before = "websocket = require('websocket')\n",
  after = [[
local instance = {}
init(instance)
while instance.connection:state() ~= "closed" do
  websocket.wait()
end
final(instance)
]],
  prints = "got\thello\n",
}

return surroundings
