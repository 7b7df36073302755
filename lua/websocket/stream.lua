--- Straight-line code: `open`, `receive`, `messages`. In a coroutine they yield until
--- `update` resumes it; outside they wait.
local websocket = ...

local Alarm = require("websocket.alarm")

local EVENT_CONNECTED, EVENT_DISCONNECTED = websocket.EVENT_CONNECTED, websocket.EVENT_DISCONNECTED
local EVENT_MESSAGE, EVENT_ERROR = websocket.EVENT_MESSAGE, websocket.EVENT_ERROR

-- Lua's debug library may be absent, and `isyieldable` came with Lua 5.3.
local traceback = debug and debug.traceback or function(_, message)
  return message
end
local isyieldable = rawget(coroutine, "isyieldable") or function()
  return true
end

--- What a message costs beside its bytes, so that empty ones are bounded too.
local OVERHEAD = 64
local RECEIVE_QUEUE = 16 * 1024 * 1024

local Stream = {}
Stream.__index = Stream

-- A stream must not refer to its connection: Lua 5.1 would never collect the pair.
local streams = setmetatable({}, { __mode = "k" })

--- Half of the limit is for messages that wait here, half for those that the module holds.
local function new_stream(limit)
  return setmetatable({
    is_open = false,
    first = 1,
    last = 0,
    bytes = 0,
    high_water = limit / 2,
    paused = false,
  }, Stream)
end

function Stream:push(connection, message, kind)
  local last = self.last + 1
  self.last = last
  self[last] = message
  self[-last] = kind
  self.bytes = self.bytes + #message + OVERHEAD
  if self.bytes >= self.high_water and not self.paused then
    self.paused = true
    connection:pause()
  end
end

function Stream:pop(connection)
  local first = self.first
  local message, kind = self[first], self[-first]
  self[first], self[-first] = nil, nil
  self.first = first + 1
  self.bytes = self.bytes - #message - OVERHEAD
  if self.paused and self.bytes <= self.high_water / 2 then
    self.paused = false
    connection:resume()
  end
  return message, kind
end

function Stream:is_empty()
  return self.first > self.last
end

--- Resumes the coroutine that waits. Its error leaves `update`.
function Stream:wake()
  local waiting = self.waiting
  self.waiting = nil
  if not waiting or coroutine.status(waiting) ~= "suspended" then
    return
  end
  local ok, err = coroutine.resume(waiting)
  if not ok then
    error(type(err) == "string" and traceback(waiting, err) or err, 0)
  end
end

--- The module's callback, with the stream as its `self`.
local function on_event(stream, connection, data)
  local event = data.event
  if event == EVENT_MESSAGE then
    stream:push(connection, data.message, data.type)
  elseif event == EVENT_CONNECTED then
    stream.is_open = true
  elseif event == EVENT_ERROR then
    stream.error, stream.error_message = data.error, data.message
    return
  elseif event == EVENT_DISCONNECTED then
    stream.code = data.code
    stream.reason = stream.error_message or data.message
  end
  stream:wake()
end

--- The running coroutine, where it may yield.
local function yieldable()
  local running, is_main = coroutine.running()
  if running and not is_main and isyieldable() then
    return running
  end
end

local function on_alarm(stream)
  stream.timed_out = true
  stream:wake()
end

--- Yields until `ready(stream)`, or until the time is over.
local function yield_until(stream, ready, timeout_ms, running)
  if stream.waiting and stream.waiting ~= running then
    error("another coroutine is waiting for this connection already", 0)
  end
  stream.timed_out = false
  local alarm = timeout_ms and Alarm.new(timeout_ms, on_alarm, stream)
  repeat
    stream.waiting = running
    coroutine.yield()
  until ready(stream) or stream.timed_out
  stream.waiting = nil
  if alarm then
    alarm:cancel()
  end
end

--- Inside a callback `wait` returns at once, every time: there nothing will ever be ready.
local function check_progress(idle_rounds, since)
  if idle_rounds == 1000 and websocket.now() - since < 100 then
    error("a callback cannot wait for a connection; start a coroutine in it", 0)
  end
end

--- Waits until `ready(stream)`, or until the time is over.
local function wait_until(stream, ready, timeout_ms)
  local began = websocket.now()
  local left, idle_rounds = timeout_ms, 0
  repeat
    idle_rounds = websocket.wait(left) == 0 and idle_rounds + 1 or 0
    check_progress(idle_rounds, began)
    left = timeout_ms and timeout_ms - (websocket.now() - began)
  until ready(stream) or left and left <= 0
end

--- False where the time was over first.
local function await(stream, ready, timeout_ms)
  if ready(stream) then
    return true
  elseif timeout_ms and timeout_ms <= 0 then
    return false
  end
  local running = yieldable()
  if running then
    yield_until(stream, ready, timeout_ms, running)
  else
    wait_until(stream, ready, timeout_ms)
  end
  return ready(stream)
end

local function has_opened(stream)
  return stream.is_open or stream.code ~= nil
end

local function has_something(stream)
  return not stream:is_empty() or stream.code ~= nil
end

--- Connects and waits until the connection is open: returns it, or nil, what went wrong and
--- the number of the error.
local function open(url, params)
  local own = {}
  for name, value in pairs(params or {}) do
    own[name] = value
  end
  local limit = tonumber(own.max_receive_queue) or RECEIVE_QUEUE
  own.max_receive_queue = math.ceil(limit / 2)
  local stream = new_stream(limit)
  own.self = stream
  local connection = websocket.connect(url, own, on_event)
  streams[connection] = stream
  await(stream, has_opened)
  if stream.is_open then
    return connection
  end
  return nil, stream.reason, stream.error
end

local function stream_of(connection)
  local stream = streams[connection]
  if not stream then
    error("receive needs a connection made by websocket.open", 3)
  end
  return stream
end

--- The next message and its type; nil and "timeout"; nil, the reason and the code of the end.
local function receive(connection, timeout_ms)
  local stream = stream_of(connection)
  if not await(stream, has_something, timeout_ms) then
    return nil, "timeout"
  elseif stream:is_empty() then
    return nil, stream.reason, stream.code
  end
  return stream:pop(connection)
end

local function next_message(connection)
  local message, kind = receive(connection)
  if message ~= nil then
    return message, kind
  end
end

-- Lua 5.1 itself, unlike LuaJIT, calls an iterator through C and cannot yield in it.
local iterators_yield = _VERSION ~= "Lua 5.1" or rawget(_G, "jit") ~= nil

--- `for message, type in connection:messages() do`: ends with the connection.
local function messages(connection)
  stream_of(connection)
  if not iterators_yield and yieldable() then
    error("Lua 5.1 cannot yield in a for loop's iterator; call connection:receive() in a loop", 2)
  end
  return next_message, connection
end

return { open = open, receive = receive, messages = messages }
