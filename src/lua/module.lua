-- The module table: checks what scripts pass, keeps their callbacks, and runs them.
-- Called with the native functions (src/lua/natives.rs); returns the module table.
-- A connection and its callback hold each other, and `connections` holds both while the
-- connection is open: after its last event nothing of ours does.
local native, constants = ...

local error, type, tostring, rawset, setmetatable, getmetatable, pairs, xpcall =
  error, type, tostring, rawset, setmetatable, getmetatable, pairs, xpcall
local traceback = debug and debug.traceback -- a host may leave `debug` out
local native_send, native_next, native_take = native.send, native.next, native.take

local websocket = {}
for name, value in pairs(constants) do
  websocket[name] = value
end

local CONNECTED, DISCONNECTED = constants.EVENT_CONNECTED, constants.EVENT_DISCONNECTED
local MESSAGE, ERROR = constants.EVENT_MESSAGE, constants.EVENT_ERROR
local TEXT, BINARY = constants.DATA_TYPE_TEXT, constants.DATA_TYPE_BINARY
local MAX_REASON = 123 -- RFC 6455 section 5.5: 125 bytes less the code

local MARK = {} -- the key by which connections are known: cheaper than asking for a metatable
local connections, servers = {}, {} -- by number, while open
local live = 0
local epoch = 0 -- counts updates
local running = false -- a callback is on the stack
local delivered -- callbacks of this update

local Connection, Server = {}, {}
local connection_metatable = { __index = Connection, __name = "websocket.connection" }
local server_metatable = { __index = Server, __name = "websocket.server" }

function connection_metatable:__tostring()
  return ("websocket connection %d: %s"):format(self._id, self.url)
end

function server_metatable:__tostring()
  return ("websocket server %d: %s"):format(self._id, self.url)
end

local function argument(position, name, expected, value, level)
  local got = value == nil and "nothing" or type(value)
  error(
    ("bad argument #%d '%s' (%s expected, got %s)"):format(position, name, expected, got),
    level + 1
  )
end

local function check_connection(value, level)
  if type(value) ~= "table" or not value[MARK] then
    error("The first argument must be a valid connection!", level + 1)
  end
end

local function remember(id, url, callback, self)
  local connection = setmetatable({
    [MARK] = true,
    url = url,
    protocol = "",
    extensions = "",
    _id = id,
    _state = "connecting",
    _callback = callback,
    _self = self,
    _sent = 0,
    _written = 0,
    _epoch = epoch,
  }, connection_metatable)
  connections[id] = connection
  live = live + 1
  return connection
end

local function check_target(params, callback, level)
  if params ~= nil and type(params) ~= "table" then
    argument(2, "params", "table or nil", params, level + 1)
  elseif type(callback) ~= "function" then
    argument(3, "callback", "function", callback, level + 1)
  end
end

function websocket.connect(url, params, callback)
  if type(url) ~= "string" then
    argument(1, "url", "string", url, 2)
  end
  check_target(params, callback, 2)
  local id, problem = native.connect(url, params)
  if not id then
    error(problem, 2)
  end
  return remember(id, url, callback, params and params.self)
end

-- What `buffered` says changes only here and between updates, so that a script sees what it
-- sent until it next lets the network have a say.
local function refresh_buffered(connection)
  connection._epoch = epoch
  local buffered = native.buffered(connection._id)
  if buffered then
    connection._written = connection._sent - buffered
  end
end

local function send(connection, message, options, level)
  local kind = BINARY
  if options ~= nil then
    if type(options) ~= "table" then
      argument(3, "options", "table or nil", options, level + 1)
    end
    kind = options.type or BINARY
    if kind ~= TEXT and kind ~= BINARY then
      local expected =
        "bad argument #3 'options' (type: DATA_TYPE_TEXT or DATA_TYPE_BINARY expected)"
      error(expected, level + 1)
    end
  end
  if connection._state ~= "open" then
    local is_over = connection._state == "closed"
    error(is_over and "Invalid connection" or "Connection isn't connected", level + 1)
  end
  if connection._epoch ~= epoch then
    refresh_buffered(connection)
  end
  local size, problem = native_send(connection._id, message, kind)
  if size then
    connection._sent = connection._sent + size
  elseif problem then
    error(problem, level + 1)
  else
    argument(2, "message", "string", message, level + 1)
  end
end

function websocket.send(connection, message, options)
  check_connection(connection, 2)
  send(connection, message, options, 2)
end

Connection.send = websocket.send

-- RFC 6455 section 7.4: codes that may stand in a Close frame.
local function is_sendable(code)
  return type(code) == "number"
    and code % 1 == 0
    and (
      (code >= 1000 and code <= 1014 and code ~= 1004 and code ~= 1005 and code ~= 1006)
      or (code >= 3000 and code <= 4999)
    )
end

local function check_close(code, reason, position, level)
  if code ~= nil and not is_sendable(code) then
    local got = type(code) == "number" and tostring(code) or type(code)
    local expected = "1000 to 1003, 1007 to 1014 or 3000 to 4999"
    error(
      ("bad argument #%d 'code' (%s expected, got %s)"):format(position, expected, got),
      level + 1
    )
  end
  if reason ~= nil and type(reason) ~= "string" then
    argument(position + 1, "reason", "string or nil", reason, level + 1)
  end
  if reason and (#reason > MAX_REASON or not native.is_utf8(reason)) then
    error(
      ("bad argument #%d 'reason' (UTF-8 of at most 123 bytes expected)"):format(position + 1),
      level + 1
    )
  end
end

local function disconnect(connection, code, reason, level)
  check_close(code, reason, 2, level + 1)
  if connection._state ~= "closing" and connection._state ~= "closed" then
    connection._state = "closing"
    native.close(connection._id, code or 1000, reason or "")
  end
end

function websocket.disconnect(connection, code, reason)
  check_connection(connection, 2)
  disconnect(connection, code, reason, 2)
end

Connection.disconnect = websocket.disconnect

function Connection:state()
  check_connection(self, 2)
  return self._state
end

function Connection:buffered()
  check_connection(self, 2)
  if self._epoch ~= epoch then
    refresh_buffered(self)
  end
  return self._sent - self._written
end

function Connection:pause()
  check_connection(self, 2)
  native.pause(self._id)
end

function Connection:resume()
  check_connection(self, 2)
  native.resume(self._id)
end

function Connection:stats()
  check_connection(self, 2)
  return native.stats(self._id) or self._stats or {}
end

local stream -- once it is read: a host may empty package.loaded

local function straight_line()
  stream = stream or require("websocket.stream")
  return stream
end

function Connection:receive(timeout_ms)
  check_connection(self, 2)
  return straight_line().receive(self, timeout_ms)
end

function Connection:messages()
  check_connection(self, 2)
  return straight_line().messages(self)
end

-- The one place from which callbacks are called. A host that must prepare its script
-- instance before one replaces this function.
function websocket.oncallback(callback, self, connection, data)
  callback(self, connection, data)
end
local plain_call = websocket.oncallback

-- For a script that gave up before CONNECTED the connection was never open: all that it still
-- wants to know is the end.
local function tell_only_the_end(connection)
  local callback = connection._callback
  connection._callback = function(self, same, data)
    if data.event == ERROR or data.event == DISCONNECTED then
      callback(self, same, data)
    else
      delivered = delivered - 1
    end
  end
end

local function opened(connection, info)
  connection.protocol = info.protocol
  connection.extensions = info.extensions
  connection.remote_address = info.remote_address
  if connection._state ~= "connecting" then
    return tell_only_the_end(connection)
  end
  connection._state = "open"
  return {
    event = CONNECTED,
    message = "",
    handshake_response = info.handshake_response,
    request = info.request,
  }
end

local function closed(connection, id, code, reason, clean, last)
  connection._state = "closed"
  connection._stats = last.stats
  connection._written = connection._sent - last.buffered
  connections[id] = nil
  live = live - 1
  return { event = DISCONNECTED, message = reason, code = code, reason = reason, clean = clean }
end

local function accepted(id, info)
  local server = servers[info.server]
  if not server then
    return nil -- closed while this client was on its way in
  end
  local connection = remember(id, info.url, server._callback, server._self)
  connection._server = info.server
  return connection
end

local function release(connection)
  connection._callback, connection._self = nil, nil
end

-- An event that is no message, and whose it is.
local function rare_event(id)
  local event, a, b, c, d = native.rare()
  local connection = connections[id]
  if event == CONNECTED then
    connection = connection or accepted(id, a)
    return connection, connection and opened(connection, a)
  elseif event == ERROR then
    return connection, { event = ERROR, message = a, error = b, stage = c, handshake_response = d }
  end
  return connection, connection and closed(connection, id, a, b, c, d)
end

local current -- whose callback runs: its `self`

local function drain()
  local call = websocket.oncallback
  if call == plain_call then
    call = nil
  end
  local last, connection, callback, self -- messages mostly follow others of their connection
  while true do
    local id, message, kind = native_next()
    local data
    if message then
      if id ~= last then
        last, connection = id, connections[id]
        if connection then
          callback, self = connection._callback, connection._self
        end
      end
      data = { event = MESSAGE, message = message, type = kind }
    elseif id then
      last = nil
      connection, data = rare_event(id)
      if connection then
        callback, self = connection._callback, connection._self
        if connection._state == "closed" then
          release(connection)
        end
      end
    else
      return
    end
    if connection and data then
      delivered = delivered + 1
      current = self
      if call then
        call(callback, self, connection, data)
      else
        callback(self, connection, data)
      end
    end
  end
end

local raised, stack -- the last error of a callback, as it was raised

local function traced(problem)
  raised, stack = problem, traceback and traceback("", 2) or ""
  if traceback and type(problem) == "string" then
    return problem .. stack
  end
  return problem
end

-- The `self` of a browser-style socket takes the errors of its listeners: they do not leave
-- `update`. That saves a protected call for each message.
local function is_taken(problem)
  local take_error = type(current) == "table" and rawget(current, "_take_error")
  if take_error then
    take_error(raised == nil and problem or raised, stack)
  end
  return take_error
end

local function drain_all()
  local fine, problem
  repeat
    raised, stack = nil, ""
    fine, problem = xpcall(drain, traced)
  until fine or not is_taken(problem)
  current = nil
  return fine, problem
end

function websocket.update(budget_ms)
  if running then
    return 0
  end
  if budget_ms ~= nil and (type(budget_ms) ~= "number" or budget_ms ~= budget_ms) then
    argument(1, "budget_ms", "number or nil", budget_ms, 2)
  end
  epoch = epoch + 1
  if native_take(budget_ms) == 0 then
    return 0
  end
  delivered, running = 0, true
  local fine, problem = drain_all()
  running = false
  native.finish()
  if not fine then
    error(problem, 0)
  end
  return delivered
end

function websocket.wait(timeout_ms)
  if timeout_ms ~= nil and (type(timeout_ms) ~= "number" or timeout_ms ~= timeout_ms) then
    argument(1, "timeout_ms", "number or nil", timeout_ms, 2)
  end
  -- With nothing open there is nothing to wait for, unless for the time itself.
  if running or (timeout_ms == nil and live == 0) then
    return 0
  end
  if native.sleep(timeout_ms) then
    return websocket.update()
  end
  epoch = epoch + 1
  return 0
end

function websocket.run()
  while live > 0 and not running do
    websocket.wait()
  end
end

function websocket.fd()
  return native.fd()
end

function websocket.now()
  return native.now()
end

function websocket.listen(params, callback)
  if params ~= nil and type(params) ~= "table" then
    argument(1, "params", "table or nil", params, 2)
  elseif type(callback) ~= "function" then
    argument(2, "callback", "function", callback, 2)
  end
  local id, message, code = native.listen(params)
  if id == false then
    error(message, 2)
  elseif id == nil then
    return nil, message, code
  end
  local server = setmetatable({
    port = code,
    url = message,
    _id = id,
    _callback = callback,
    _self = params and params.self,
  }, server_metatable)
  servers[id] = server
  live = live + 1
  return server
end

local function check_server(value, level)
  if type(value) ~= "table" or getmetatable(value) ~= server_metatable then
    error("bad argument #1 'self' (server expected)", level + 1)
  end
end

function Server:close(code, reason)
  check_server(self, 2)
  check_close(code, reason, 1, 2)
  if servers[self._id] then
    servers[self._id] = nil
    live = live - 1
    native.close_server(self._id, code or 1001, reason or "")
    for _, connection in pairs(connections) do
      if connection._server == self._id and connection._state == "open" then
        connection._state = "closing"
      end
    end
  end
end

function Server:connections()
  check_server(self, 2)
  return native.server_connections(self._id) or 0
end

-- The members that embedded files make, and which file makes them. A file is read when one of
-- its members is first used: to a script that needs none of them they cost nothing.
local FILES = {
  EventTarget = "EventTarget",
  WebSocket = "WebSocket",
  WebSocketServer = "WebSocketServer",
  ReconnectingWebSocket = "ReconnectingWebSocket",
  createWebSocket = "WebSocket",
  open = "stream",
}
local PARTS = { createWebSocket = "create", open = "open" }

local function read_member(module, name)
  local file = FILES[name]
  if file then
    local value = file == "stream" and straight_line() or require("websocket." .. file)
    if PARTS[name] then
      value = value[PARTS[name]]
    end
    rawset(module, name, value)
    return value
  end
end

return setmetatable(websocket, { __index = read_member })
