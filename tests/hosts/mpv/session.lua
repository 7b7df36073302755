-- mpv has timers: one of them calls update. The URL is in $URL.
local websocket = require("websocket")

local function say(...)
  print(...)
end

local function on_event(_, connection, data)
  if data.event == websocket.EVENT_CONNECTED then
    connection:send("hello from mpv", { type = websocket.DATA_TYPE_TEXT })
  elseif data.event == websocket.EVENT_MESSAGE then
    say("received", data.message)
    connection:disconnect(4000, "done")
  elseif data.event == websocket.EVENT_ERROR then
    say("error", data.stage, data.message)
  else
    say("disconnected", data.code, data.reason)
    mp.commandv("quit", data.code == 4000 and "0" or "1")
  end
end

mp.add_periodic_timer(0.02, function()
  websocket.update()
end)
websocket.connect(os.getenv("URL"), nil, on_event)
