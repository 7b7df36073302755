-- system.lua CERTIFICATE KEY: what a library needs of the system under it: threads, sockets, a
-- resolver, random numbers, TLS, a descriptor for events. Prints "works".
local websocket = require("websocket")

local COUNT = 50

local function echo(_, connection, data)
  if data.event == websocket.EVENT_MESSAGE then
    connection:send(data.message, { type = data.type })
  end
end

local function talk(params, url)
  local connection, problem = websocket.open(url, params)
  assert(connection, problem)
  for size = 1, COUNT do
    local message = ("x"):rep(size * 1000)
    connection:send(message)
    assert(connection:receive(60000) == message)
  end
  connection:disconnect()
end

local plain = assert(websocket.listen({}, echo))
talk({ timeout = 60000 }, "ws://localhost:" .. plain.port)
local tls = { certificate = arg[1], key = arg[2] }
local secure = assert(websocket.listen({ timeout = 60000, tls = tls }, echo))
talk({ timeout = 60000, tls = { ca = arg[3] } }, "wss://127.0.0.1:" .. secure.port)
assert(websocket.fd() > 0)
plain:close()
secure:close()
websocket.run()
print("works")
