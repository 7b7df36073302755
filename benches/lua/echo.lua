--- Sends a message of SIZE bytes and waits for its echo, COUNT times: `echo.lua URL COUNT SIZE`.

local websocket = require("websocket")
local report = require("report")

local url, count, size = arg[1], tonumber(arg[2]), tonumber(arg[3])
local message = ("\0"):rep(size)
local laps = {}
local begin, sent, elapsed

local function send(connection)
  sent = websocket.now()
  websocket.send(connection, message)
end

websocket.connect(url .. "/echo", { compression = false }, function(_, connection, data)
  if data.event == websocket.EVENT_CONNECTED then
    begin = websocket.now()
    send(connection)
  elseif data.event == websocket.EVENT_MESSAGE then
    local now = websocket.now()
    laps[#laps + 1] = now - sent
    if #laps < count then
      send(connection)
    else
      elapsed = now - begin
      websocket.disconnect(connection)
    end
  elseif data.event == websocket.EVENT_ERROR then
    error(data.message)
  end
end)
websocket.run()
report(elapsed, count, laps)
