-- mpv ends with an open connection. The URL is in $URL.
local websocket = require("websocket")

mp.add_periodic_timer(0.02, function()
  websocket.update()
end)

websocket.connect(os.getenv("URL"), nil, function(_, _, data)
  mp.commandv("quit", data.event == websocket.EVENT_CONNECTED and "0" or "1")
end)
