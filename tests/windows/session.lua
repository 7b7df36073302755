-- What works where the module has found its Lua: strings, errors and tables of a whole session
-- go through its C API. Prints "works" at the end.
local websocket = require("websocket")

local received, refused

-- It is about Lua's C API, not about how busy the machine is.
local PATIENT = { timeout = 60000 }
local server = assert(websocket.listen(PATIENT, function(_, connection, data)
  if data.event == websocket.EVENT_MESSAGE then
    connection:send(data.message, { type = data.type })
  end
end))
websocket.connect(server.url, PATIENT, function(_, connection, data)
  if data.event == websocket.EVENT_CONNECTED then
    connection:send(("hello"):rep(1000), { type = websocket.DATA_TYPE_TEXT })
  elseif data.event == websocket.EVENT_MESSAGE then
    received = data.message
    refused = select(2, pcall(connection.send, connection, "\255", { type = data.type }))
    connection:disconnect()
  elseif data.event == websocket.EVENT_DISCONNECTED then
    server:close()
    error("from a callback")
  end
end)
local ok, message = pcall(websocket.run)
assert(not ok and tostring(message):find("from a callback", 1, true), message)
websocket.run()
assert(received == ("hello"):rep(1000), "no echo")
assert(tostring(refused):find("valid UTF-8 expected", 1, true), refused)
assert(not pcall(websocket.connect, 1, 2, 3))
collectgarbage()
print("works")
