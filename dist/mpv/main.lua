-- A script folder for mpv, to begin from: it shows every message of a server on the screen and
-- tells the server what is played. With --script-opts=websocket-url=wss://example.org/player
local msg = require("mp.msg")

local websocket = require("websocket")

local TICK_SECONDS = 0.02
local PAUSE_SECONDS = 5

local options = { url = "" }
require("mp.options").read_options(options, "websocket")

local connection

local function connect()
  connection = websocket.connect(options.url, nil, function(_, _, data)
    if data.event == websocket.EVENT_MESSAGE then
      mp.osd_message(data.message)
    elseif data.event == websocket.EVENT_ERROR then
      msg.warn(data.stage .. ": " .. data.message)
    elseif data.event == websocket.EVENT_DISCONNECTED then
      mp.add_timeout(PAUSE_SECONDS, connect)
    end
  end)
end

local function tell(_, title)
  if title and connection and connection:state() == "open" then
    connection:send(title, { type = websocket.DATA_TYPE_TEXT })
  end
end

if options.url ~= "" then
  connect()
  mp.add_periodic_timer(TICK_SECONDS, websocket.update)
  mp.observe_property("media-title", "string", tell)
end
