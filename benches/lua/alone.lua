--- What Lua itself takes for each message, without a network: a string that it does not have
--- yet, the data table, the call of the callback. `alone.lua COUNT SIZE`.

local websocket = require("websocket")
local report = require("report")

local count, size = tonumber(arg[1]), tonumber(arg[2])
local DIFFERENT = 7000
local received = 0

local function callback(_, _, data)
  if data.event == websocket.EVENT_MESSAGE then
    assert(#data.message == size)
    received = received + 1
  end
end

local numbers = {}
for i = 1, DIFFERENT do
  numbers[i] = ("%06d"):format(i)
end
local source = table.concat(numbers) .. ("."):rep(size)

local begin = websocket.now()
for i = 0, count - 1 do
  local at = i % DIFFERENT * 6
  callback(nil, nil, {
    event = websocket.EVENT_MESSAGE,
    message = source:sub(at + 1, at + size),
    type = websocket.DATA_TYPE_BINARY,
  })
end
report(websocket.now() - begin, received)
