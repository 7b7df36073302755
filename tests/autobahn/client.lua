-- The client of the Autobahn test suite: takes every case of the server at the URL, and echoes.
--   luajit tests/autobahn/client.lua ws://127.0.0.1:9001 AGENT
local websocket = require("websocket")

local url, agent = ...

local options = { timeout = 30000, max_message_size = 64 * 1024 * 1024 }

-- Connects, hands every message to the function, and waits for the end.
local function session(path, on_message)
  local failure
  websocket.connect(url .. path, options, function(_, connection, data)
    if data.event == websocket.EVENT_MESSAGE then
      on_message(connection, data)
    elseif
      data.event == websocket.EVENT_ERROR
      and data.stage ~= "open"
      and data.stage ~= "close"
    then
      failure = data.message
    end
  end)
  websocket.run()
  assert(not failure, failure)
end

local function echo(connection, data)
  connection:send(data.message, { type = data.type })
end

local count
session("/getCaseCount", function(_, data)
  count = tonumber(data.message)
end)
for case = 1, count do
  session(("/runCase?case=%d&agent=%s"):format(case, agent), echo)
end
session("/updateReports?agent=" .. agent, function() end)
