-- trust.lua CERTIFICATE KEY: a server that shows this certificate for 127.0.0.1, and a client
-- that trusts whom the system trusts. Prints "verified", or why not.
local websocket = require("websocket")

local server = assert(websocket.listen({
  timeout = 60000,
  tls = { certificate = arg[1], key = arg[2] },
}, function() end))

local connection, problem = websocket.open(server.url:gsub("^ws:", "wss:"), { timeout = 60000 })
print(connection and "verified" or problem)
if connection then
  connection:disconnect()
end
server:close()
websocket.run()
