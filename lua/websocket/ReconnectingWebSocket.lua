--- A WebSocket that comes back: a new connection after each loss, later and later, and an
--- outbox for what is sent meanwhile.
local websocket, _, internal = ...

local Alarm = require("websocket.alarm")
local EventTarget = require("websocket.EventTarget")
local Exception = require("websocket.exception")
local Outbox = require("websocket.outbox")
local WebSocket = require("websocket.WebSocket")
local arguments = require("websocket.arguments")
local codes = require("websocket.codes")
local interface = require("websocket.interface")

local CONNECTING, OPEN, CLOSING, CLOSED = 0, 1, 2, 3
local raise, random = Exception.raise, internal.native.random

local ReconnectingWebSocket = { CloseCode = codes.CloseCode, SocketError = codes.SocketError }
local metatable = { __name = "ReconnectingWebSocket" }

--- The policy's options; all others are those of a WebSocket.
local defaults = {
  minDelay = 1000,
  maxDelay = 30000,
  factor = 2,
  jitter = true,
  minUptime = 5000,
  maxRetries = math.huge,
  connectionTimeout = 3000,
  maxOutbox = 1024 * 1024,
  stopCodes = { 1000, 1008, { 4000, 4999 } },
}

local events = {
  onconnecting = "connecting",
  onopen = "open",
  onmessage = "message",
  onerror = "error",
  onclose = "close",
}
local methods, getters = {}, {}

local function is_range(value)
  return type(value) == "table" and type(value[1]) == "number" and type(value[2]) == "number"
end

local function check_stop_codes(stops)
  for _, code in ipairs(stops) do
    if type(code) ~= "number" and not is_range(code) then
      raise("TypeError", "stopCodes must be close codes, or pairs {from, to} of them")
    end
  end
end

--- The least and the most of each number; a NaN is in no range.
local ranges = {
  minDelay = { 0, 2 ^ 53, "a number of milliseconds" },
  maxDelay = { 0, 2 ^ 53, "a number of milliseconds" },
  factor = { 1, 2 ^ 53, "a number of 1 or more" },
  minUptime = { 0, math.huge, "a number of milliseconds" },
  maxRetries = { 0, math.huge, "a number of 0 or more" },
  connectionTimeout = { 0, math.huge, "a number of milliseconds" },
  maxOutbox = { 0, math.huge, "a number of bytes" },
}

local function check_option(name, value)
  local range = ranges[name]
  if range then
    if type(value) ~= "number" or not (value >= range[1] and value <= range[2]) then
      local got = type(value) == "number" and value or "a " .. type(value)
      raise("TypeError", ("%s must be %s, not %s"):format(name, range[3], tostring(got)))
    end
  elseif type(value) ~= type(defaults[name]) then
    Exception.expected(name, "a " .. type(defaults[name]), value)
  elseif name == "stopCodes" then
    check_stop_codes(value)
  end
end

--- Splits the script's options into the policy and what the WebSockets get.
local function read_options(options)
  local policy, params = {}, {}
  for name, value in pairs(defaults) do
    policy[name] = value
  end
  for name, value in pairs(arguments.options(options)) do
    if defaults[name] == nil then
      params[name] = value
    else
      check_option(name, value)
      policy[name] = value
    end
  end
  params.timeout = params.timeout or policy.connectionTimeout
  return policy, params
end

local function stops_at(policy, code)
  for _, stop in ipairs(policy.stopCodes) do
    if stop == code or type(stop) == "table" and code >= stop[1] and code <= stop[2] then
      return true
    end
  end
  return false
end

--- How long to wait before this retry. With jitter it is anything between `minDelay` and that
--- much more than the backoff, so that the clients of a server that restarts do not all come
--- back at once. The numbers are our own: the script's `math.random` goes on undisturbed, and
--- would be the same in every process where nobody seeds it.
local function next_backoff(policy, retry)
  local shortest = policy.minDelay
  local delay = shortest * policy.factor ^ (retry - 1)
  if not policy.jitter then
    return math.ceil(math.max(shortest, math.min(policy.maxDelay, delay)))
  end
  local longest = math.max(shortest, math.min(policy.maxDelay, shortest + delay))
  return math.ceil(shortest + random() * (longest - shortest))
end

local function evaluate(value)
  if type(value) == "function" then
    return value()
  end
  return value
end

local function dispatch(self, event)
  event.target, event.currentTarget = self, self
  EventTarget.dispatch(self, event)
end

local attempt

local function on_alarm(self)
  self._alarm = nil
  attempt(self)
end

--- Takes the place of an alarm that was set before.
local function set_alarm(self, delay_ms, callback)
  if self._alarm then
    self._alarm:cancel()
  end
  self._alarm = Alarm.new(delay_ms, callback, self)
end

--- After how long to try again, or nil.
local function next_delay(self, code)
  local policy = self._policy
  if self._wants_now then
    return 0
  elseif self._state == CLOSING or stops_at(policy, code) or self._retries >= policy.maxRetries then
    return nil
  end
  self._retries = self._retries + 1
  return next_backoff(policy, self._retries)
end

--- A connection or an attempt is over: goes on or stops, and says so.
local function settle(self, event)
  self._is_live = false
  local delay = next_delay(self, event.code)
  self._wants_now = false
  event.willReconnect, event.retryIn = delay ~= nil, delay
  if delay then
    self._state = CONNECTING
    set_alarm(self, delay, on_alarm)
  else
    self._state = CLOSED
    self._dropped = self._dropped + self._outbox:discard()
  end
  dispatch(self, event)
end

--- The end of an attempt that has no WebSocket to tell of it.
local function abort(self, reason)
  self._is_live = true
  dispatch(self, { type = "error", code = -1, name = "UnknownSocketError", message = reason })
  settle(self, { type = "close", code = 1006, reason = "", wasClean = false })
end

local function on_end_of_wait(self)
  self._alarm = nil
  abort(self, "the WebSocket was closed before the connection was established")
end

local function on_open(event, socket)
  local self = socket._owner
  self._state = OPEN
  self._opened_at = websocket.now()
  dispatch(self, event)
  if socket.readyState == OPEN then
    self._outbox:send_all(socket)
  end
end

local function on_event(event, socket)
  dispatch(socket._owner, event)
end

local function on_close(event, socket)
  local self = socket._owner
  if self._opened_at and websocket.now() - self._opened_at >= self._policy.minUptime then
    self._retries = 0
  end
  self._opened_at = nil
  self._outbox:take_back(socket)
  settle(self, event)
end

local function new_socket(self)
  local socket = WebSocket.new(evaluate(self._url), evaluate(self._protocols), self._params)
  socket._owner = self
  socket.onopen, socket.onmessage = on_open, on_event
  socket.onerror, socket.onclose = on_event, on_close
  return socket
end

function attempt(self)
  local ok, socket = pcall(new_socket, self)
  if not ok then
    abort(self, tostring(socket))
    return
  end
  self._socket, self._is_live = socket, true
  dispatch(self, { type = "connecting", attempt = self._retries, url = socket.url })
end

--- `url` and `protocols` may be functions; they are called before each attempt.
function ReconnectingWebSocket.new(url, protocols, options)
  local policy, params = read_options(options)
  local self = {
    _listeners = {},
    _url = url,
    _protocols = protocols,
    _policy = policy,
    _params = params,
    _binary_type = "blob",
    _state = CONNECTING,
    _retries = 0,
    _wants_now = false,
    _outbox = Outbox.new(policy.maxOutbox),
    _dropped = 0,
  }
  self._socket, self._is_live = new_socket(self), true
  return setmetatable(self, metatable)
end

--- Like WebSocket's; while there is no connection, or one that has failed, the outbox takes the
--- message, or raises QuotaExceededError where it is full.
function methods:send(data, kind)
  if data == nil then
    arguments.message(data, kind)
  elseif self._state == OPEN and self._socket._transport.readyState == OPEN then
    self._outbox:send(self._socket, data, kind)
  elseif self._state == CONNECTING or self._state == OPEN then
    self._outbox:put(data, kind)
  elseif self._state then
    local text, as = arguments.message(data, kind)
    arguments.check_text(text, as)
    self._dropped = self._dropped + #text
  else
    local expected = "a ReconnectingWebSocket"
    Exception.expected("what socket:send(data) is called on", expected, self)
  end
  return self
end

--- Closes for good. Before the connection is established: `error`, then `close` 1006.
function methods:close(code, reason)
  code, reason = arguments.close(code, reason)
  if self._state >= CLOSING then
    return self
  end
  self._state = CLOSING
  self._wants_now = false
  if self._alarm then
    set_alarm(self, 0, on_end_of_wait)
  else
    self._socket:close(code, reason)
  end
  return self
end

--- Connects anew, now, whatever the policy says: also after the end.
function methods:reconnect()
  self._retries = 0
  self._state = CONNECTING
  if self._is_live then
    self._wants_now = true
    self._socket:close()
  else
    set_alarm(self, 0, on_alarm)
  end
end

function methods:destroy()
  EventTarget.clear(self)
  methods.close(self)
end

for _, name in ipairs({ "url", "protocol", "extensions", "handshakeResponse" }) do
  getters[name] = function(self)
    return self._socket[name]
  end
end

function getters.readyState(self)
  return self._state
end

--- Retries since the connection was last up for `minUptime`.
function getters.retryCount(self)
  return self._retries
end

function getters.bufferedAmount(self)
  local unwritten = self._is_live and self._socket.bufferedAmount or 0
  return self._outbox.bytes + self._dropped + unwritten
end

return interface.class(metatable, {
  statics = ReconnectingWebSocket,
  methods = methods,
  getters = getters,
  events = events,
})
