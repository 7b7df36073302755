--- The server that benches/native/src/bin/load measures; it prints its port.
--- `server.lua [deflate | CERTIFICATE KEY]`: without `deflate` it does not compress.

local websocket = require("websocket")

local EVENT_CONNECTED, EVENT_MESSAGE = websocket.EVENT_CONNECTED, websocket.EVENT_MESSAGE
local EVENT_DISCONNECTED = websocket.EVENT_DISCONNECTED
local TEXT = { type = websocket.DATA_TYPE_TEXT }
local SAME = { [websocket.DATA_TYPE_TEXT] = TEXT, [websocket.DATA_TYPE_BINARY] = {} }
local KEY = "position" -- of messages of which only the latest counts

local server
local topic, place = {}, {} -- connections, and where each of them stands
local works = {} -- by connection: what a message of it does

local function join(connection)
  topic[#topic + 1] = connection
  place[connection] = #topic
  connection:send("hello", TEXT)
end

local function leave(connection)
  local at = place[connection]
  if at then
    local last = table.remove(topic)
    if last ~= connection then
      topic[at], place[last] = last, at
    end
    place[connection] = nil
  end
end

local function most_buffered()
  local most = 0
  for i = 1, #topic do
    most = math.max(most, topic[i]:buffered())
  end
  return most
end

local function echo(connection, data)
  connection:send(data.message, SAME[data.type])
end

--- A publisher's work: `deliver` takes the publisher and the message.
local function publish(deliver)
  return function(connection, data)
    if data.type == websocket.DATA_TYPE_TEXT then
      connection:send(tostring(most_buffered()), TEXT)
    else
      deliver(connection, data.message)
    end
  end
end

local function send_to_each(options)
  return function(_, message)
    for i = 1, #topic do
      topic[i]:send(message, options)
    end
  end
end

local function broadcast(latest)
  return function(connection, message)
    server:broadcast(message, { except = connection, latest = latest })
  end
end

local paths = { ["/echo"] = echo, ["/publish/loop"] = publish(send_to_each()) }

local function on_event(_, connection, data)
  local event = data.event
  if event == EVENT_MESSAGE then
    works[connection](connection, data)
  elseif event == EVENT_CONNECTED then
    if data.request.path == "/topic" then
      join(connection)
    else
      works[connection] = paths[data.request.path]
    end
  elseif event == EVENT_DISCONNECTED then
    works[connection] = nil
    leave(connection)
  end
end

local first, key = arg[1], arg[2]
server = assert(websocket.listen({
  compression = first == "deflate" and { threshold = 0, server_no_context_takeover = true },
  tls = key and { certificate = first, key = key },
  timeout = 60000,
}, on_event))
-- What has no `broadcast` is measured by what its users write instead.
local has_broadcast = server.broadcast ~= nil
paths["/publish"] = publish(has_broadcast and broadcast() or send_to_each())
paths["/publish/latest"] =
  publish(has_broadcast and broadcast(KEY) or send_to_each({ latest = KEY }))
print(server.port)
io.stdout:flush()
websocket.run()
