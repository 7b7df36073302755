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

local error, type, tostring, tonumber, rawget, rawset, setmetatable, pairs, next, ipairs =
  error, type, tostring, tonumber, rawget, rawset, setmetatable, pairs, next, ipairs
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
local ASKED, TRACED = constants.EVENT_ASKED, constants.EVENT_TRACED
websocket.EVENT_TIMER, websocket.EVENT_ASKED, websocket.EVENT_TRACED = nil, nil, nil
local TEXT, BINARY = constants.DATA_TYPE_TEXT, constants.DATA_TYPE_BINARY
local MAX_REASON = 123 -- RFC 6455 section 5.5: 125 bytes less the code

local objects = native.objects -- connections, servers, timers: by number, while more may come
-- What is ours of each connection: its table shows what is for scripts, and nothing else. A record
-- must not refer to its key, or Lua 5.1 would never collect the two; of the callbacks it lets go at
-- the end.
local records = setmetatable({}, { __mode = "k" })
-- Who is told what a connection does, by its number, until it has done the last: a connection that
-- the script has left is no object any more by then.
local traces = {}
-- Of the events of this update those that count as delivered, and those without a callback.
local handed, silent = 0, 0
local epoch = 0 -- counts updates

local Connection = {}
local connection_metatable = { __index = Connection, __name = "websocket.connection" }

function connection_metatable:__tostring()
  return ("websocket connection %d: %s"):format(records[self].id, self.url)
end

local function argument(position, name, expected, value, level)
  local got = value == nil and "nothing" or type(value)
  error(
    ("bad argument #%d '%s' (%s expected, got %s)"):format(position, name, expected, got),
    level + 1
  )
end

-- The record of what should be a connection.
local function record_of(value, level)
  return records[value] or error("The first argument must be a valid connection!", level + 1)
end

local function new_connection(url, callback, self)
  local connection =
    setmetatable({ url = url, protocol = "", extensions = "" }, connection_metatable)
  local record = {
    id = 0,
    state = "connecting",
    callback = callback,
    self = self,
    sent = 0,
    written = 0,
    epoch = epoch,
  }
  records[connection] = record
  return connection, record
end

-- Defold's functions take a number where a string is asked for.
local function to_string(value)
  return type(value) == "number" and value .. "" or value
end

-- And a string where a number is.
local function to_number(value)
  return type(value) == "string" and tonumber(value) or value
end

-- A header's value may be a number, or a list.
local function copy_headers(headers)
  local own = {}
  for name, value in next, headers do
    own[name] = type(value) == "table" and copy_headers(value) or to_string(value)
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
local function copy_params(params, known, tls_keys)
  if params == nil then
    return {}
  end
  local own = copy(params, known)
  if type(own.headers) == "table" then
    own.headers = copy_headers(own.headers)
  end
  if type(own.tls) == "table" then
    own.tls = copy(own.tls, tls_keys)
  end
  if type(own.trace) == "table" then
    own.trace = copy(own.trace, native.trace_keys)
  end
  if type(own.compression) == "table" then
    own.compression = copy(own.compression, native.compression_keys)
  end
  return own
end

-- The `params` of a client, as Defold takes them.
local function copy_client_params(params)
  local own = copy_params(params, native.connect_keys, native.tls_keys)
  for _, key in ipairs(native.number_keys) do
    own[key] = to_number(own[key])
  end
  own.headers = to_string(own.headers)
  own.protocol = to_string(own.protocol)
  if own.protocol == "" then
    own.protocol = nil
  end
  return own
end

-- Called with every callback that is to be kept, before anything begins: it is that of `object`, a
-- connection, a server or a timer, which object[ending](object) ends. Of the first two the host may
-- change `params`, which is a copy. What it returns is called instead; nil and a text are an error.
-- A host that must prepare a script instance before its callbacks run captures the instance here.
function websocket.onbegin(callback, _object, _ending, _params)
  return callback
end

-- What is to be kept of `callback`.
local function kept(callback, object, ending, params, level)
  local own, problem = websocket.onbegin(callback, object, ending, params)
  return own or error(problem, level + 1)
end

-- Who is to be told what a connection does. What is left in `own` says what, and in which file.
local function take_trace(own, level)
  local trace = own.trace
  if type(trace) == "function" then
    own.trace = {}
    return trace
  elseif type(trace) ~= "table" then
    return nil
  end
  local entry, file = trace.entry, trace.file
  if entry ~= nil and type(entry) ~= "function" then
    error("params.trace.entry must be a function, got a " .. type(entry), level + 1)
  elseif (entry == nil) == (file == nil) then
    error("params.trace must have either 'entry', a function, or 'file', a path", level + 1)
  end
  trace.entry = nil
  return entry
end

-- The callback of a trace. It is over with the last of its connection.
local function trace_callback(trace, record)
  return function(_, _, entry)
    if entry.stage == "close" then
      traces[record.id] = nil
    end
    trace(entry)
  end
end

-- `level` is that of the caller, who is to read what is wrong.
local function connect(url, params, callback, level)
  url = to_string(url)
  if type(url) ~= "string" then
    argument(1, "url", "string", url, level + 1)
  elseif type(callback) ~= "function" then
    argument(3, "callback", "function", callback, level + 1)
  end
  local own = copy_client_params(type(params) == "table" and params or nil)
  local self, linger = own.self, own.linger
  if linger ~= nil and type(linger) ~= "boolean" then
    error("params.linger must be a boolean, got a " .. type(linger), level + 1)
  end
  own.self, own.linger = nil, nil
  local trace = take_trace(own, level + 1)
  local connection, record = new_connection(url, callback, self)
  record.lingers = linger
  record.callback = kept(callback, connection, "disconnect", own, level + 1)
  if trace then
    trace = trace_callback(trace, record)
    trace = kept(trace, connection, "disconnect", own, level + 1)
  end
  local problem = native.connect(connection, record, url, own)
  if problem then
    error(problem, level + 1)
  end
  if trace then
    traces[record.id] = { connection = connection, callback = trace, self = self }
  end
  return connection
end

function websocket.connect(url, params, callback)
  local connection = connect(url, params, callback, 2)
  return connection
end

-- What `buffered` says changes only here and between updates, so that a script sees what it
-- sent until it next lets the network have a say.
local function refresh_buffered(record)
  record.epoch = epoch
  local buffered = native.buffered(record.id)
  if buffered then
    record.written = record.sent - buffered
  end
end

local function wrong_option(position, problem, level)
  error(("bad argument #%d 'options' (%s)"):format(position, problem), level + 1)
end

local function kind_of(options, position, level)
  local kind = to_number(options.type) or BINARY
  if kind ~= TEXT and kind ~= BINARY then
    wrong_option(position, "type: DATA_TYPE_TEXT or DATA_TYPE_BINARY expected", level + 1)
  end
  return kind
end

-- What a message is about: a string, or a number.
local function key_of(latest, position, level)
  local key = to_string(latest)
  if type(key) ~= "string" then
    local problem = "latest: string or number expected, got " .. type(latest)
    wrong_option(position, problem, level + 1)
  end
  return key
end

function websocket.send(connection, message, options)
  local record = records[connection] or record_of(connection, 2)
  local kind, latest = BINARY, nil
  if type(options) == "table" then
    kind, latest = kind_of(options, 3, 2), options.latest
  end
  if record.state ~= "open" then
    local is_over = record.state == "closed"
    error(is_over and "Invalid connection" or "Connection isn't connected", 2)
  end
  if record.epoch ~= epoch then
    refresh_buffered(record)
  end
  local size, problem
  if latest ~= nil then
    local key = key_of(latest, 3, 2)
    size, problem = native.send_latest(record.id, to_string(message), kind, key)
  else
    size, problem = native_send(record.id, message, kind)
  end
  if size then
    record.sent = record.sent + size
  elseif problem then
    error(problem, 2)
  else
    argument(2, "message", "string", message, 2)
  end
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

function websocket.disconnect(connection, code, reason)
  local record = record_of(connection, 2)
  code, reason = to_number(code), to_string(reason)
  check_close(code, reason, 2, 2)
  if record.state ~= "closing" and record.state ~= "closed" then
    local close = record.lingers and native.close or native.leave
    close(record.id, code or 1000, reason or "")
    record.state = "closing" -- last: an error before it leaves a connection that can be closed
  end
end

Connection.disconnect = websocket.disconnect

function Connection:state()
  return record_of(self, 2).state
end

function Connection:buffered()
  local record = record_of(self, 2)
  if record.epoch ~= epoch then
    refresh_buffered(record)
  end
  return record.sent - record.written
end

function Connection:pause()
  native.pause(record_of(self, 2).id)
end

function Connection:resume()
  native.resume(record_of(self, 2).id)
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
  local record = record_of(self, 2)
  return stats_table(native.stats(record.id)) or record.stats or {}
end

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

-- The embedded files, read when they are first used: to a script that needs none of them they
-- cost nothing. What `require` keeps is the host's; what is kept here stays.
local parts = {}
-- What they share with this file.
local internal = {
  native = native,
  records = records,
  connect = connect,
  new_connection = new_connection,
  kept = kept,
  copy_params = copy_params,
  copy_headers = copy_headers,
  headers_table = headers_table,
  to_string = to_string,
  argument = argument,
  wrong_option = wrong_option,
  kind_of = kind_of,
  key_of = key_of,
  check_close = check_close,
}

function internal.updates()
  return epoch
end

-- What was sent elsewhere than in `send` has changed what `buffered` says.
function internal.new_epoch()
  epoch = epoch + 1
end

local require_part

local function part(name)
  if parts[name] == nil then
    local value = native.load(name)(websocket, require_part, internal)
    -- A finalizer may have read it meanwhile, and begun something with it: then that one counts.
    -- This one has been seen by nobody, for a file shows itself by what it returns.
    if parts[name] == nil then
      parts[name] = value
    end
  end
  return parts[name]
end

-- What the files know as `require`.
function require_part(name)
  return part(sub(name, #"websocket." + 1))
end

function Connection:receive(timeout_ms)
  record_of(self, 2)
  local message, kind, code = part("stream").receive(self, timeout_ms, 3)
  return message, kind, code
end

function Connection:messages()
  record_of(self, 2)
  local iterator, connection = part("stream").messages(self, 3)
  return iterator, connection
end

-- The one place from which callbacks are called. A host that must prepare its script
-- instance before one replaces this function.
function websocket.oncallback(callback, self, connection, data)
  callback(self, connection, data)
end
local plain_call = websocket.oncallback

local function response_table(headers, status, body)
  return status and { status = status, headers = headers_table(headers), response = body } or nil
end

local rare = {} -- by event: whose it is, and the callback's `data`

rare[CONNECTED] = function(id, protocol, extensions, address, headers, status, body, path, server)
  local connection, user = objects[id], nil
  if not connection and path then
    connection, user = part("server").accepted(id, path, server)
  end
  if not connection then
    return nil
  end
  connection.protocol, connection.extensions = protocol, extensions
  connection.remote_address = address
  -- For a script that gave up before CONNECTED the connection was never open: all that it still
  -- wants to know is the end.
  local record = records[connection]
  if record.state == "closing" then
    record.wants_only_end = true
    return connection
  end
  local data = {
    event = CONNECTED,
    message = "",
    handshake_response = response_table(headers, status, body),
    request = path and {
      path = path,
      headers = headers_table(headers),
      remote_address = address,
      user = user,
    } or nil,
  }
  record.state = "open"
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
  records[connection].state = "closing"
  return connection, data
end

rare[DISCONNECTED] = function(id, code, reason, clean, buffered, ...)
  local connection = objects[id]
  if not connection then
    return nil
  end
  local data =
    { event = DISCONNECTED, message = reason, code = code, reason = reason, clean = clean }
  local record = records[connection]
  record.stats = stats_table(...)
  record.written = record.sent - buffered
  record.state = "closed"
  return connection, data
end

-- A timer's callback goes the same way as all others, with nobody's data.
local function ring(timer)
  timer.callback(timer.owner)
end

-- A client's request to a server: what src/lua/asked.rs pushes, for lua/websocket/server.lua.
rare[ASKED] = function(...)
  local server, request, callback, self = part("server").asked(...)
  return server, request, callback, self
end

local function with_headers(head)
  if head then
    head.headers = headers_table(head.headers)
  end
end

-- The entry of a trace is a table already.
rare[TRACED] = function(id, entry)
  local trace = traces[id]
  if not trace then
    return nil
  end
  with_headers(entry.request)
  with_headers(entry.response)
  entry.connection = trace.connection
  return trace.connection, entry, trace.callback, trace.self
end

local NO_DATA = { message = "" }

local function rare_event(id, event, ...)
  if event == TIMER then
    local timer = objects[id]
    return nil, timer and NO_DATA, ring, timer
  elseif not event then
    return nil
  end
  local connection, data, callback, self = rare[event](id, ...)
  if not data then
    return nil
  elseif callback then
    return connection, data, callback, self
  end
  local record = records[connection]
  return connection, data, record.callback, record.self
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
    local record = records[connection]
    record.callback, record.self = nil, nil
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
        local record = records[connection]
        if record and record.wants_only_end then
          connection = nil
        elseif record then
          callback, self = record.callback, record.self
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

handed = traced -- by this `set_loop` finds the upvalue: names of variables may be stripped
native.set_loop(drain, traced)
handed = 0

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
  while true do
    if internal.asking then
      part("server").refuse_asking()
    end
    if outcome ~= CALLBACK_RAISED or not is_taken(problem) then
      break
    end
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

-- What waits without a timeout waits for an event. A goodbye under way ends without one.
local function are_any()
  local live, goodbyes = native.live()
  return live + goodbyes > 0
end

function websocket.run()
  while are_any() and not native.delivers() do
    if native_sleep(nil, true) then
      websocket.update()
    end
  end
end

function websocket.fd()
  return native.fd()
end

function websocket.disable_warnings()
  native.disable_warnings()
end

function websocket.now()
  return native.now()
end

-- The members that embedded files make, and which file makes them.
local FILES = {
  EventTarget = "EventTarget",
  WebSocket = "WebSocket",
  WebSocketServer = "WebSocketServer",
  ReconnectingWebSocket = "ReconnectingWebSocket",
  createWebSocket = "WebSocket",
  open = "stream",
  listen = "server",
  trace = "trace",
}
local PARTS = { createWebSocket = "create", open = "open", listen = "listen" }

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
