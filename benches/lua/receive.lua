--- Receives COUNT messages of SIZE bytes: `receive.lua URL COUNT SIZE [CA]`.

local websocket = require("websocket")
local report = require("report")

local url, count, size, ca = arg[1], tonumber(arg[2]), tonumber(arg[3]), arg[4]
local received, begin, elapsed = 0, nil, nil

websocket.connect(("%s/blast/%d/%d"):format(url, count, size), {
  compression = false,
  tls = ca and { ca = ca },
}, function(_, connection, data)
  if data.event == websocket.EVENT_MESSAGE then
    assert(#data.message == size)
    received = received + 1
    if received == count then
      elapsed = websocket.now() - begin
      websocket.disconnect(connection)
    end
  elseif data.event == websocket.EVENT_CONNECTED then
    begin = websocket.now()
    websocket.send(connection, "go")
  elseif data.event == websocket.EVENT_ERROR then
    error(data.message)
  end
end)
websocket.run()
report(elapsed, count)
