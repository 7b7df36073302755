-- An echo server and its client in one script:   lua examples/echo.lua
-- With a URL only the client, against that server: lua examples/echo.lua wss://example.org/
local websocket = require("websocket")

-- A host that has a loop of its own passes true as the second argument.
local url, host_has_loop = ...
local PATIENCE_SECONDS = 3

local outgoing = {
  { "Hello from Lua", websocket.DATA_TYPE_TEXT },
  { "\0\1\2\253\254\255", websocket.DATA_TYPE_BINARY },
}

local server
local ends_open = 0
local echoes = 0
local failure -- of the client

io.stdout:setvbuf("line")

local function log(who, ...)
  print(table.concat({ who, ... }, " "))
end

local function describe(message, type)
  if type == websocket.DATA_TYPE_TEXT then
    return ("text %q"):format(message)
  end
  local hex = message:gsub(".", function(byte)
    return (" %02x"):format(byte:byte())
  end)
  return "binary" .. hex
end

local function log_end(who, data)
  ends_open = ends_open - 1
  log(who, "closed", data.code, data.reason, data.clean and "clean" or "not clean")
end

local function on_server_event(_, connection, data)
  if data.event == websocket.EVENT_CONNECTED then
    ends_open = ends_open + 1
    log("server", "accepts", data.request.remote_address)
  elseif data.event == websocket.EVENT_MESSAGE then
    log("server", "echoes", describe(data.message, data.type))
    connection:send(data.message, { type = data.type })
  elseif data.event == websocket.EVENT_DISCONNECTED then
    log_end("server", data)
  end
end

local function on_client_event(_, connection, data)
  if data.event == websocket.EVENT_CONNECTED then
    log("client", "is open", connection.url)
    for _, message in ipairs(outgoing) do
      log("client", "sends", describe(message[1], message[2]))
      connection:send(message[1], { type = message[2] })
    end
  elseif data.event == websocket.EVENT_MESSAGE then
    log("client", "gets", describe(data.message, data.type))
    echoes = echoes + 1
    if echoes == #outgoing then
      connection:disconnect(1000, "done")
    end
  elseif data.event == websocket.EVENT_ERROR then
    failure = data.stage .. ": " .. data.message
    log("client", "error", failure)
  elseif data.event == websocket.EVENT_DISCONNECTED then
    log_end("client", data)
  end
end

if not url then
  server = assert(websocket.listen({}, on_server_event))
  url = server.url
  log("server", "listens", url)
end

ends_open = ends_open + 1
local client = websocket.connect(url, nil, on_client_event)

-- Called after each update; true when all is done. Tells if the echoes did not come.
local function frame(seconds)
  if seconds > PATIENCE_SECONDS then
    client:disconnect()
  end
  if ends_open > 0 then
    return false
  elseif server then
    server:close()
    server = nil
  end
  if echoes < #outgoing then
    local count = ("%d of %d echoes came"):format(echoes, #outgoing)
    local problem = failure or count .. " in " .. PATIENCE_SECONDS .. " seconds"
    if host_has_loop then
      error(problem, 0) -- the host's exit code says it
    end
    print(problem)
  end
  return true
end

if host_has_loop then
  return frame
end

local started = os.time()
repeat
  websocket.wait(100)
until frame(os.time() - started)
