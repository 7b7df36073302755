--- Bytes that Lua allocates for each received message, and for a table and a string made by
--- hand: `allocation.lua URL COUNT SIZE`.

local websocket = require("websocket")

local url, count, size = arg[1], tonumber(arg[2]), tonumber(arg[3])
local WARM_UP = 1000

--- No two of these strings are the same: an equal one would be found, not allocated.
local function by_hand()
  local digits = {}
  for i = 1, count do
    digits[i] = ("%06d"):format(i)
  end
  local source, keep = table.concat(digits) .. ("."):rep(size), {}
  local before = collectgarbage("count")
  for i = 1, count do
    keep[1] = { event = 2, message = source:sub(6 * i - 5, 6 * i - 6 + size), type = 2 }
  end
  local each = (collectgarbage("count") - before) * 1024 / count
  return each, keep
end

local received, before, each = 0, nil, nil
websocket.connect(("%s/blast/%d/%d"):format(url, WARM_UP + count, size), {
  compression = false,
}, function(_, connection, data)
  if data.event == websocket.EVENT_MESSAGE then
    received = received + 1
    if received == WARM_UP then
      before = collectgarbage("count")
    elseif received == WARM_UP + count then
      each = (collectgarbage("count") - before) * 1024 / count
      websocket.disconnect(connection)
    end
  elseif data.event == websocket.EVENT_CONNECTED then
    websocket.send(connection, "go")
  end
end)
collectgarbage("stop")
websocket.run()
local each_by_hand = by_hand()
print(('{"bytes": %.2f, "by_hand": %.2f}'):format(each, each_by_hand))
