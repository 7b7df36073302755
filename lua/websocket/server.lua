--- `websocket.listen`, the server that it returns, and what comes in to it: read when a script
--- first listens, so that clients pay nothing for it.
local websocket, _, internal = ...

local native, records, objects = internal.native, internal.records, internal.native.objects
local argument, wrong_option = internal.argument, internal.wrong_option
local to_string, headers_table = internal.to_string, internal.headers_table
local gsub, gmatch, match, char = string.gsub, string.gmatch, string.match, string.char

-- No handshake takes longer, unless `params.timeout` lets it.
local PATIENCE_MS = 60000

local BROADCAST = { type = true, except = true, slow = true, latest = true }
local SLOW = { wait = true, drop = true, close = true }

local Server = {}
local server_metatable = { __index = Server, __name = "websocket.server" }
-- As `records` of connections: by server, and without a reference to it.
local server_records = setmetatable({}, { __mode = "k" })

function server_metatable:__tostring()
  return ("websocket server %d: %s"):format(server_records[self].id, self.url)
end

-- What `authorize` says of who is let in waits here for CONNECTED, by the connection's number. Who
-- is gone before that leaves it behind until no handshake of its time can be under way.
local function remember(record, id, user)
  local now = websocket.now()
  if now - record.users_since > record.patience then
    record.users_since, record.older_users, record.users = now, record.users, {}
  end
  record.users[id] = user
end

local function take_user(record, id)
  local user = record.users[id]
  if user == nil then
    user = record.older_users[id]
  end
  record.users[id], record.older_users[id] = nil, nil
  return user
end

--- The object of a client's connection, whose first event is CONNECTED, and whose it is.
local function accepted(id, path, server_id)
  local server = objects[server_id]
  if not server then
    return nil -- closed while this client was on its way in
  end
  local of_server = server_records[server]
  local connection, record = internal.new_connection(path, of_server.callback, of_server.self)
  record.id, record.server, record.lingers = id, server_id, true
  objects[id] = connection
  return connection, take_user(of_server, id)
end

-- application/x-www-form-urlencoded, as browsers write a query. Of a repeated name the last counts.
local function decode(text)
  text = gsub(text, "%+", " ")
  return (gsub(text, "%%(%x%x)", function(digits)
    return char(tonumber(digits, 16))
  end))
end

local function query_table(query)
  local fields = {}
  for field in gmatch(query or "", "[^&]+") do
    local name, value = match(field, "^([^=]*)=?(.*)$")
    fields[decode(name)] = decode(value)
  end
  return fields
end

local function response(status, headers, body, expected)
  if type(status) ~= "number" then
    local got = status == nil and "nothing" or "a " .. type(status)
    return nil, expected .. " is expected, got " .. got
  end
  return { status = status, headers = headers, body = to_string(body) }
end

-- What a script's function returns, as a table: by the function's name.
local READERS = {}

function READERS.authorize(verdict, extra, body)
  if verdict == true then
    extra = extra == nil and {} or extra
    if type(extra) ~= "table" then
      return nil, "a table is expected behind true, got a " .. type(extra)
    end
    return { protocol = extra.protocol, headers = extra.headers }, nil, extra.user
  elseif verdict == false then
    return { status = 403 }
  end
  return response(verdict, extra, body, "true, false or a status")
end

function READERS.request(status, headers, body)
  if status == nil then
    return { status = 404 }
  end
  return response(status, headers, body, "a status")
end

-- Called as all callbacks are, with the request in place of an event.
local function ask(question, _, request)
  internal.asking = question.id
  local answer, problem, user = READERS[question.name](question.callback(request))
  if answer then
    if type(answer.headers) == "table" then
      answer.headers = internal.copy_headers(answer.headers)
    end
    if user ~= nil then
      remember(question.of_server, question.id, user)
    end
    problem = native.answer(question.id, question.name, answer)
  else
    problem = ("what `%s` returns: %s"):format(question.name, problem)
  end
  if problem then
    error(problem, 0)
  end
  internal.asking = nil
end

--- After an error of the script's function the client gets 500.
local function refuse_asking()
  local id = internal.asking
  internal.asking = nil
  native.answer(id, "authorize", { status = 500 })
end

--- Whom a request is for: the server, the request, and what is called with it.
local function asked(id, server_id, method, upgrades, path, query, headers, address, ...)
  local server = objects[server_id]
  local record = server_records[server]
  local name = upgrades and "authorize" or "request"
  local callback = record and record[name]
  if not callback then
    return nil
  end
  local self = record.self
  local protocols, certificate = ...
  local question = {
    id = id,
    name = name,
    of_server = record,
    callback = callback,
    _take_error = type(self) == "table" and rawget(self, "_take_error") or nil,
  }
  local request = {
    method = method,
    path = path,
    query = query_table(query),
    headers = headers_table(headers),
    remote_address = address,
    protocols = protocols,
    certificate = certificate,
  }
  return server, request, ask, question
end

-- A function of `params`; that there is one is all that is native.
local function take_function(params, name, level)
  local value = params[name]
  if value ~= nil and type(value) ~= "function" then
    error(("params.%s must be a function, got a %s"):format(name, type(value)), level + 1)
  end
  params[name] = value ~= nil
  return value
end

local function listen(params, callback)
  if params ~= nil and type(params) ~= "table" then
    argument(1, "params", "table or nil", params, 2)
  elseif type(callback) ~= "function" then
    argument(2, "callback", "function", callback, 2)
  end
  local own = internal.copy_params(params, native.listen_keys, native.listen_tls_keys)
  local self = own.self
  own.self = nil
  local authorize, request = take_function(own, "authorize", 2), take_function(own, "request", 2)
  local server = setmetatable({ port = 0, url = "" }, server_metatable)
  local record = {
    id = 0,
    callback = callback,
    self = self,
    authorize = authorize,
    request = request,
    patience = type(own.timeout) == "number" and own.timeout or PATIENCE_MS,
    users = {},
    older_users = {},
    users_since = websocket.now(),
  }
  server_records[server] = record
  record.callback = internal.kept(callback, server, "close", own, 2)
  local complaint, message, code = native.listen(server, record, own)
  if complaint then
    error(complaint, 2)
  elseif message then
    return nil, message, code
  end
  return server
end

local function server_record_of(value, level)
  return server_records[value] or error("bad argument #1 'self' (server expected)", level + 1)
end

function Server:close(code, reason)
  local record = server_record_of(self, 2)
  internal.check_close(code, reason, 1, 2)
  if objects[record.id] then
    native.close_server(record.id, code or 1001, reason or "")
    record.callback, record.self, record.authorize, record.request = nil, nil, nil, nil
    record.users, record.older_users = {}, {}
    for _, object in next, objects do
      local of_client = records[object]
      if of_client and of_client.server == record.id and of_client.state == "open" then
        of_client.state = "closing"
      end
    end
  end
end

local function wrong_except(level)
  wrong_option(2, "except: a connection or a list of them expected", level + 1)
end

-- The numbers of those who get nothing: of a connection, or of a list of them.
local function numbers_of(except, level)
  local one = records[except]
  local numbers = {}
  if one then
    numbers[1] = one.id
  elseif type(except) == "table" then
    for i, connection in ipairs(except) do
      local record = records[connection] or wrong_except(level + 1)
      numbers[i] = record.id
    end
  elseif except ~= nil then
    wrong_except(level + 1)
  end
  return numbers
end

local function broadcast_options(options, level)
  if options == nil then
    return {}
  elseif type(options) ~= "table" then
    argument(2, "options", "table or nil", options, level + 1)
  end
  for key in next, options do
    if not BROADCAST[key] then
      local problem = "unknown key '%s', expected one of: type, except, slow, latest"
      wrong_option(2, problem:format(tostring(key)), level + 1)
    end
  end
  if options.slow ~= nil and not SLOW[options.slow] then
    wrong_option(2, "slow: 'wait', 'drop' or 'close' expected", level + 1)
  end
  return options
end

function Server:broadcast(message, options)
  local record = server_record_of(self, 2)
  local own = broadcast_options(options, 2)
  local except = numbers_of(own.except, 2)
  local kind = internal.kind_of(own, 2, 2)
  local key = own.latest ~= nil and internal.key_of(own.latest, 2, 2) or nil
  local closed = {}
  local count, problem =
    native.broadcast(record.id, to_string(message), kind, own.slow or "wait", key, except, closed)
  internal.new_epoch()
  for _, id in ipairs(closed) do
    local of_client = records[objects[id]]
    if of_client then
      of_client.state = "closing"
    end
  end
  if count then
    return count
  elseif problem then
    error(problem, 2)
  end
  argument(1, "message", "string", message, 2)
end

function Server:reload(params)
  local record = server_record_of(self, 2)
  if type(params) ~= "table" then
    argument(1, "params", "table", params, 2)
  end
  local own = internal.copy_params(params, { "tls" }, native.listen_tls_keys)
  local done, problem, code = native.reload(record.id, own)
  if done == false then
    error(problem, 2)
  end
  return done, problem or not done and "the server is closed" or nil, code
end

function Server:connections()
  return native.server_connections(server_record_of(self, 2).id) or 0
end

return { listen = listen, accepted = accepted, asked = asked, refuse_asking = refuse_asking }
