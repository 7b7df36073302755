--- Sends COUNT messages of SIZE bytes from a loop, and waits until the peer has counted them:
--- `send.lua URL COUNT SIZE`.

local websocket = require("websocket")
local report = require("report")

local url, count, size = arg[1], tonumber(arg[2]), tonumber(arg[3])
local message = ("\0"):rep(size)
local begin, elapsed

websocket.connect(url .. "/sink", {
  compression = false,
  max_send_queue = math.max(2 * count * size, 2 ^ 20),
}, function(_, connection, data)
  if data.event == websocket.EVENT_CONNECTED then
    begin = websocket.now()
    for _ = 1, count do
      websocket.send(connection, message)
    end
    websocket.send(connection, "stat")
  elseif data.event == websocket.EVENT_MESSAGE then
    elapsed = websocket.now() - begin
    assert(tonumber(data.message) == count, "the peer lost messages")
    websocket.disconnect(connection)
  elseif data.event == websocket.EVENT_ERROR then
    error(data.message)
  end
end)
websocket.run()
report(elapsed, count)
