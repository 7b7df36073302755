--- Straight-line code: `open`, `receive`, `messages`. In a coroutine they yield until
--- `update` resumes it; outside they wait.
local websocket, _, internal = ...

local Alarm = require("websocket.alarm")

local EVENT_CONNECTED, EVENT_DISCONNECTED = websocket.EVENT_CONNECTED, websocket.EVENT_DISCONNECTED
local EVENT_MESSAGE, EVENT_ERROR = websocket.EVENT_MESSAGE, websocket.EVENT_ERROR

-- Lua's debug library may be absent, and `isyieldable` came with Lua 5.3.
local getinfo = debug and debug.getinfo
local traceback = debug and debug.traceback or function(_, message)
  return message
end
local isyieldable = rawget(coroutine, "isyieldable") or function()
  return true
end

-- Who waits here, waits by the wall's clock, also while that of `websocket.testing` stands still.
local now = internal.native.now

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

-- An error may come from anywhere: what is here counts from the last step on.
function Stream:push(connection, message, kind)
  local last = self.last + 1
  self[last] = message
  self[-last] = kind
  self.last = last
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

local yield_until

--- Whether the coroutine still waits. A script may close it; and where Lua cannot yield (before
--- 5.2 across pcall, say) it was told so by an error, and is suspended somewhere else now.
local function still_waits(thread)
  local is_suspended = coroutine.status(thread) == "suspended"
  if not is_suspended or not getinfo then
    return is_suspended
  end
  local level, info = 1, getinfo(thread, 1, "f")
  while info and info.func ~= yield_until do
    level = level + 1
    info = getinfo(thread, level, "f")
  end
  return info ~= nil
end

--- Resumes the coroutine that waits. Its error leaves `update`.
function Stream:wake()
  local waiting = self.waiting
  self.waiting = nil
  if not waiting or not still_waits(waiting) then
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

--- Why no one may wait here, if so. A coroutine that a callback starts may.
local function hindrance()
  local delivers, in_callback = internal.native.delivers()
  if in_callback or delivers and not yieldable() then
    return "a callback cannot wait for a connection; start a coroutine in it, with coroutine.wrap"
  end
  return not yieldable() and internal.native.cannot_wait or nil
end

local function on_alarm(stream)
  stream.timed_out = true
  stream:wake()
end

--- A scheduler may resume the coroutine as often as it likes, but somebody has to call `update`.
--- One that resumes it over and over for this long and does not, never will.
local PATIENCE_MS, PATIENCE_RESUMES = 1000, 1000

local function new_watch()
  return { updates = internal.updates(), since = now(), resumes = 0 }
end

local function is_in_vain(watch)
  local updates = internal.updates()
  if watch.updates ~= updates then
    watch.updates, watch.since, watch.resumes = updates, now(), 0
  end
  watch.resumes = watch.resumes + 1
  return watch.resumes >= PATIENCE_RESUMES and now() - watch.since >= PATIENCE_MS
end

--- The end of a wait, or of what one has left that did not come to its own.
local function stop_waiting(stream)
  stream.waiting = nil
  if stream.alarm then
    stream.alarm:cancel()
    stream.alarm = nil
  end
end

--- Yields until `ready(stream)`, or until the time is over. Returns what is wrong, if anything.
function yield_until(stream, ready, timeout_ms, running)
  local waiting = stream.waiting
  if waiting and waiting ~= running and still_waits(waiting) then
    return "another coroutine is waiting for this connection already"
  end
  stop_waiting(stream)
  stream.timed_out = false
  stream.alarm = timeout_ms and Alarm.new(timeout_ms, on_alarm, stream)
  local watch = new_watch()
  local in_vain
  repeat
    stream.waiting = running
    coroutine.yield()
    in_vain = is_in_vain(watch)
  until ready(stream) or stream.timed_out or in_vain
  stop_waiting(stream)
  return in_vain
      and not ready(stream)
      and "this coroutine is resumed over and over, but nobody calls websocket.update()"
    or nil
end

--- Waits until `ready(stream)`, or until the time is over. Returns what is wrong, if anything.
local function wait_until(stream, ready, timeout_ms)
  local began = now()
  local left = timeout_ms
  repeat
    websocket.wait(left)
    if ready(stream) then
      return
    elseif internal.native.live() == 0 then
      return "websocket: the Lua state is closing"
    end
    left = timeout_ms and timeout_ms - (now() - began)
  until left and left <= 0
end

--- False where the time was over first. What is wrong is raised at `level`.
local function await(stream, ready, timeout_ms, level)
  if ready(stream) then
    return true
  elseif timeout_ms and timeout_ms <= 0 then
    return false
  end
  local problem = hindrance()
  if not problem then
    local running = yieldable()
    if running then
      problem = yield_until(stream, ready, timeout_ms, running)
    else
      problem = wait_until(stream, ready, timeout_ms)
    end
  end
  if problem then
    error(problem, level + 1)
  end
  return ready(stream)
end

local function has_opened(stream)
  return stream.is_open or stream.code ~= nil
end

local function has_something(stream)
  return not stream:is_empty() or stream.code ~= nil
end

--- Half of `max_receive_queue` is the stream's. What is wrong with it, `connect` says.
local function halve_limit(params)
  local limit = params.max_receive_queue
  limit = limit == nil and RECEIVE_QUEUE or tonumber(limit)
  if not limit or limit < 1 or limit % 1 ~= 0 then
    return RECEIVE_QUEUE
  end
  params.max_receive_queue = math.ceil(limit / 2)
  return limit
end

--- Connects and waits until the connection is open: returns it, or nil, what went wrong and
--- the number of the error.
local function open(url, params)
  local problem = hindrance()
  if problem then
    error(problem, 2)
  end
  local own = setmetatable({}, { __index = type(params) == "table" and params or nil })
  local stream = new_stream(halve_limit(own))
  own.self, own.linger = stream, true
  local connection = internal.connect(url, own, on_event, 2)
  streams[connection] = stream
  await(stream, has_opened, nil, 2)
  if stream.is_open then
    return connection
  end
  return nil, stream.reason, stream.error
end

--- `level` is that of the caller, who is to read what is wrong.
local function stream_of(connection, level)
  local stream = streams[connection]
  if not stream then
    error("receive needs a connection made by websocket.open", level + 1)
  end
  return stream
end

--- The next message and its type; nil and "timeout"; nil, the reason and the code of the end.
local function receive(connection, timeout_ms, level)
  local stream = stream_of(connection, level)
  if timeout_ms ~= nil and (type(timeout_ms) ~= "number" or timeout_ms ~= timeout_ms) then
    local got = type(timeout_ms)
    local expected = "bad argument #1 'timeout_ms' (number or nil expected, got %s)"
    error(expected:format(got), level)
  end
  if not has_something(stream) and connection:state() == "closed" then
    stream.code, stream.reason = 1006, stream.reason or "" -- an error took the event away
  end
  if not await(stream, has_something, timeout_ms, level) then
    return nil, "timeout"
  elseif stream:is_empty() then
    return nil, stream.reason, stream.code
  end
  return stream:pop(connection)
end

local function next_message(connection)
  local message, kind = receive(connection, nil, 3)
  if message ~= nil then
    return message, kind
  end
end

-- Lua 5.1 itself, unlike LuaJIT, calls an iterator through C and cannot yield in it.
local iterators_yield = _VERSION ~= "Lua 5.1" or rawget(_G, "jit") ~= nil

--- `for message, type in connection:messages() do`: ends with the connection.
local function messages(connection, level)
  stream_of(connection, level)
  if not iterators_yield and yieldable() then
    local advice = "call connection:receive() in a loop"
    error("Lua 5.1 cannot yield in a for loop's iterator; " .. advice, level)
  end
  return next_message, connection
end

return { open = open, receive = receive, messages = messages }
