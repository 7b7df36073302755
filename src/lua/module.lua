-- The module table: checks what scripts pass, keeps their callbacks, and runs them.
-- Called with the native functions (src/lua/natives.rs); returns the module table.
-- A connection and its callback hold each other, and `objects` holds both while the connection
-- is open: after its last event nothing of ours does.
--
-- An error may come from anywhere: a hook at any instruction, a failed allocation, a callback. So
-- what must not be left half done is done by a native function, and of an event all comes before
-- the step that counts it as delivered (`handed`, which `update` in src/lua/calls.rs sets to 0):
-- what is done twice does no harm.
local native, constants = ...

local error, type, tostring, rawget, rawset, setmetatable, getmetatable, pairs, next, ipairs =
  error, type, tostring, rawget, rawset, setmetatable, getmetatable, pairs, next, ipairs
local find, lower, sub = string.find, string.lower, string.sub
local traceback = debug and debug.traceback -- a host may leave `debug` out
local native_send, native_next, native_rare = native.send, native.next, native.rare
local native_update, native_sleep = native.update, native.sleep

local websocket = {}
for name, value in pairs(constants) do
  websocket[name] = value
end

local CONNECTED, DISCONNECTED = constants.EVENT_CONNECTED, constants.EVENT_DISCONNECTED
local MESSAGE, ERROR, TIMER = constants.EVENT_MESSAGE, constants.EVENT_ERROR, constants.EVENT_TIMER
websocket.EVENT_TIMER = nil
local TEXT, BINARY = constants.DATA_TYPE_TEXT, constants.DATA_TYPE_BINARY
local MAX_REASON = 123 -- RFC 6455 section 5.5: 125 bytes less the code

local MARK = {} -- the key by which connections are known: cheaper than asking for a metatable
local objects = native.objects -- connections, servers, timers: by number, while more may come
-- Of the events of this update those that count as delivered, and those without a callback.
local handed, silent = 0, 0
local epoch = 0 -- counts updates

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

local function new_connection(url, callback, self)
  return setmetatable({
    [MARK] = true,
    url = url,
    protocol = "",
    extensions = "",
    _id = 0,
    _state = "connecting",
    _callback = callback,
    _self = self,
    _sent = 0,
    _written = 0,
    _epoch = epoch,
  }, connection_metatable)
end

-- A header's value may be a number, or a list.
local function copy_headers(headers)
  local own = {}
  for name, value in next, headers do
    if type(value) == "number" then
      value = value .. ""
    elseif type(value) == "table" then
      value = copy_headers(value)
    end
    own[name] = value
  end
  return own
end

-- What a table says of the known keys; of its others only that they are there.
local function copy(from, known)
  local own = {}
  for key in next, from do
    own[key] = true
  end
  for _, key in ipairs(known) do
    own[key] = from[key]
  end
  return own
end

-- All of `params` is read here, before anything starts: a script may be behind each field.
local function copy_params(params, known)
  if params == nil then
    return {}
  end
  local own = copy(params, known)
  if type(own.headers) == "table" then
    own.headers = copy_headers(own.headers)
  end
  if type(own.tls) == "table" then
    own.tls = copy(own.tls, native.tls_keys)
  end
  if type(own.compression) == "table" then
    own.compression = copy(own.compression, native.compression_keys)
  end
  return own
end

-- `level` is that of the caller, who is to read what is wrong.
local function connect(url, params, callback, level)
  if type(url) ~= "string" then
    argument(1, "url", "string", url, level + 1)
  elseif params ~= nil and type(params) ~= "table" then
    argument(2, "params", "table or nil", params, level + 1)
  elseif type(callback) ~= "function" then
    argument(3, "callback", "function", callback, level + 1)
  end
  local own = copy_params(params, native.connect_keys)
  local self = own.self
  own.self = nil
  local connection = new_connection(url, callback, self)
  local problem = native.connect(connection, url, own)
  if problem then
    error(problem, level + 1)
  end
  return connection
end

function websocket.connect(url, params, callback)
  local connection = connect(url, params, callback, 2)
  return connection
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

local function stats_table(sent, received, bytes_sent, bytes_received, rtt, least, jitter, since)
  return sent
      and {
        messages_sent = sent,
        messages_received = received,
        bytes_sent = bytes_sent,
        bytes_received = bytes_received,
        rtt = rtt,
        rtt_min = least,
        rtt_jitter = jitter,
        connected_at = since,
      }
    or nil
end

function Connection:stats()
  check_connection(self, 2)
  return stats_table(native.stats(self._id)) or self._stats or {}
end

-- The embedded files, read when they are first used: to a script that needs none of them they
-- cost nothing. What `require` keeps is the host's; what is kept here stays.
local parts = {}
local internal = { native = native, connect = connect }

function internal.updates()
  return epoch
end

local require_part

local function part(name)
  local value = parts[name]
  if value == nil then
    value = native.load(name)(websocket, require_part, internal)
    parts[name] = value
  end
  return value
end

-- What the files know as `require`.
function require_part(name)
  return part(sub(name, #"websocket." + 1))
end

function Connection:receive(timeout_ms)
  check_connection(self, 2)
  local message, kind, code = part("stream").receive(self, timeout_ms, 3)
  return message, kind, code
end

function Connection:messages()
  check_connection(self, 2)
  local iterator, connection = part("stream").messages(self, 3)
  return iterator, connection
end

-- The one place from which callbacks are called. A host that must prepare its script
-- instance before one replaces this function.
function websocket.oncallback(callback, self, connection, data)
  callback(self, connection, data)
end
local plain_call = websocket.oncallback

-- Header fields by their names as sent; a look-up in any other case finds them too. Repeated
-- ones are joined with commas (RFC 9110 section 5.3). Given as names and values in turn.
local function headers_table(list)
  local fields, in_lower_case = {}, {}
  for i = 1, #list, 2 do
    local name, value = list[i], list[i + 1]
    local key = lower(name)
    if in_lower_case[key] then
      value = in_lower_case[key] .. ", " .. value
    end
    in_lower_case[key], fields[name] = value, value
  end
  return setmetatable(fields, {
    __index = function(_, name)
      return type(name) == "string" and in_lower_case[lower(name)] or nil
    end,
  })
end

local function response_table(headers, status, body)
  return status and { status = status, headers = headers_table(headers), response = body } or nil
end

-- The object of a client's connection to our server: its first event is CONNECTED.
local function accepted(id, path, server_id)
  local server = objects[server_id]
  if not server then
    return nil -- closed while this client was on its way in
  end
  local connection = new_connection(path, server._callback, server._self)
  connection._id, connection._server = id, server_id
  objects[id] = connection
  return connection
end

local rare = {} -- by event: whose it is, and the callback's `data`

rare[CONNECTED] = function(id, protocol, extensions, address, headers, status, body, path, server)
  local connection = objects[id] or accepted(id, path, server)
  if not connection then
    return nil
  end
  connection.protocol, connection.extensions = protocol, extensions
  connection.remote_address = address
  -- For a script that gave up before CONNECTED the connection was never open: all that it still
  -- wants to know is the end.
  if connection._state == "closing" then
    connection._wants_only_end = true
    return connection
  end
  local data = {
    event = CONNECTED,
    message = "",
    handshake_response = response_table(headers, status, body),
    request = path and { path = path, headers = headers_table(headers), remote_address = address }
      or nil,
  }
  connection._state = "open"
  return connection, data
end

rare[ERROR] = function(id, text, code, stage, headers, status, body)
  local connection = objects[id]
  if not connection then
    return nil
  end
  local data = {
    event = ERROR,
    message = text,
    error = code,
    stage = stage,
    handshake_response = response_table(headers, status, body),
  }
  connection._state = "closing"
  return connection, data
end

rare[DISCONNECTED] = function(id, code, reason, clean, buffered, ...)
  local connection = objects[id]
  if not connection then
    return nil
  end
  local data =
    { event = DISCONNECTED, message = reason, code = code, reason = reason, clean = clean }
  connection._stats = stats_table(...)
  connection._written = connection._sent - buffered
  connection._state = "closed"
  return connection, data
end

-- A timer's callback goes the same way as all others, with nobody's data.
local function ring(timer)
  timer.callback(timer.owner)
end

local NO_DATA = { message = "" }

local function rare_event(id, event, ...)
  if event == TIMER then
    local timer = objects[id]
    return nil, timer and NO_DATA, ring, timer
  elseif not event then
    return nil
  end
  local connection, data = rare[event](id, ...)
  if not data then
    return nil
  end
  return connection, data, connection._callback, connection._self
end

local current -- whose callback runs: its `self`
local report, problem_to_report, stack_to_report -- what a `self` takes, and is yet to be given

local function report_problem()
  local take, problem, stack = report, problem_to_report, stack_to_report
  report, problem_to_report, stack_to_report, current = nil, nil, nil, nil
  take(problem, stack)
end

local raised, stack = nil, "" -- the last error of a callback, as it was raised

-- Another event than a message.
local function deliver_rare(call, connection, data, callback, self)
  handed = handed + 1
  if not data then
    silent = silent + 1
    return
  end
  if data.event == DISCONNECTED then
    connection._callback, connection._self = nil, nil
  end
  current = self
  call(callback, self, connection, data)
end

local function drain()
  epoch = epoch + 1
  raised, stack = nil, ""
  if handed == 0 then
    silent = 0
  end
  if report then
    report_problem()
  end
  local oncallback = websocket.oncallback
  local is_plain = oncallback == plain_call
  local last, connection, callback, self -- messages mostly follow others of their connection
  while true do
    local id, message, kind = native_next()
    if message then
      if id ~= last then
        last, connection = id, objects[id]
        if connection and connection._wants_only_end then
          connection = nil
        end
        if connection then
          callback, self = connection._callback, connection._self
        end
      end
      if connection then
        local data = { event = MESSAGE, message = message, type = kind }
        handed = handed + 1
        current = self
        if is_plain then
          callback(self, connection, data)
        else
          oncallback(callback, self, connection, data)
        end
      else
        handed, silent = handed + 1, silent + 1
      end
    elseif id then
      last = nil
      deliver_rare(oncallback, rare_event(id, native_rare()))
    else
      return
    end
  end
end

-- No callback can yield: the module would have to wait for it.
local function explained(problem)
  if type(problem) == "string" and find(problem, "attempt to yield", 1, true) then
    return problem .. " (a callback cannot yield; start a coroutine in it, with coroutine.wrap)"
  end
  return problem
end

local function traced(problem)
  problem = explained(problem)
  raised, stack = problem, traceback and traceback("", 2) or ""
  if traceback and type(problem) == "string" then
    return problem .. stack
  end
  return problem
end

native.set_loop(drain, traced)

-- The `self` of a browser-style socket takes the errors of its listeners: they do not leave
-- `update`. That saves a protected call for each message.
local function is_taken(problem)
  local take_error = type(current) == "table" and rawget(current, "_take_error")
  if take_error then
    problem_to_report, stack_to_report = raised == nil and problem or raised, stack
    report = take_error
  end
  return take_error
end

local CALLBACK_RAISED, RAISED = 2, 3 -- what `update` in src/lua/calls.rs returns

function websocket.update(budget_ms)
  if budget_ms ~= nil and (type(budget_ms) ~= "number" or budget_ms ~= budget_ms) then
    argument(1, "budget_ms", "number or nil", budget_ms, 2)
  end
  local outcome, problem = native_update(budget_ms)
  if outcome == 0 then -- idle
    epoch = epoch + 1
    return 0
  elseif not outcome then
    return 0
  end
  while outcome == CALLBACK_RAISED and is_taken(problem) do
    outcome, problem = native.go_on()
  end
  current = nil
  if outcome == CALLBACK_RAISED or outcome == RAISED then
    error(problem, 0)
  end
  return handed - silent
end

function websocket.wait(timeout_ms)
  if timeout_ms ~= nil and (type(timeout_ms) ~= "number" or timeout_ms ~= timeout_ms) then
    argument(1, "timeout_ms", "number or nil", timeout_ms, 2)
  end
  local has_some = native_sleep(timeout_ms)
  if has_some then
    return websocket.update()
  elseif has_some == false then
    epoch = epoch + 1
  end
  return 0
end

function websocket.run()
  while native.live() > 0 and not native.delivers() do
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
  local own = copy_params(params, native.listen_keys)
  local self = own.self
  own.self = nil
  local server = setmetatable({
    port = 0,
    url = "",
    _id = 0,
    _callback = callback,
    _self = self,
  }, server_metatable)
  local complaint, message, code = native.listen(server, own)
  if complaint then
    error(complaint, 2)
  elseif message then
    return nil, message, code
  end
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
  if objects[self._id] then
    native.close_server(self._id, code or 1001, reason or "")
    for _, connection in next, objects do
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

-- The members that embedded files make, and which file makes them.
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
    local value = part(file)
    if PARTS[name] then
      value = value[PARTS[name]]
    end
    rawset(module, name, value)
    return value
  end
end

-- For scripts: require("websocket.<name>"), where the host's `require` looks here.
local preload = type(package) == "table" and package.preload
if type(preload) == "table" then
  for _, name in ipairs(native.files) do
    preload["websocket." .. name] = function()
      return part(name)
    end
  end
end

return setmetatable(websocket, { __index = read_member })
