--- A server on this machine that a test scripts.
local websocket = ...

local Client = require("websocket.testing_client")
local Relay = require("websocket.testing_relay")
local text = require("websocket.testing_text")

local EVENT_CONNECTED, EVENT_DISCONNECTED = websocket.EVENT_CONNECTED, websocket.EVENT_DISCONNECTED
local EVENT_MESSAGE, EVENT_ERROR = websocket.EVENT_MESSAGE, websocket.EVENT_ERROR

--- No answer to a handshake begins like this.
local GARBAGE = ("\255"):rep(16)

local Server = {}
Server.__index = Server
Server.__name = "websocket.testing.server"

local function on_connected(server, connection, data)
  local client = Client.new(server, connection, data.request)
  server.session:own(connection)
  server.clients[#server.clients + 1] = client
  server.clients_by_connection[connection] = client
  if server.script then
    server.session:start(server.script, client, data.request)
  end
end

--- The module's callback, with the server as its `self`.
local function on_event(server, connection, data)
  if data.event == EVENT_CONNECTED then
    on_connected(server, connection, data)
    server.session:go_on()
    return
  end
  local client = server.clients_by_connection[connection]
  if not client then
    return -- it was gone before it was there
  elseif data.event == EVENT_MESSAGE then
    client:push(data.message, data.type)
  elseif data.event == EVENT_ERROR then
    client.problem = data
  elseif data.event == EVENT_DISCONNECTED then
    client.closed = data
  end
  server.session:go_on()
end

--- The test's own `authorize` decides where the test refuses nobody.
local function authorize_by(server, own)
  return function(request)
    server.requests[#server.requests + 1] = request
    if server.answer then
      return server.answer(request)
    elseif own then
      return own(request)
    end
    return true
  end
end

local FOREIGN = { "host", "port", "unix", "unix_mode", "self" }

local function own_params(server, params, level)
  local own = {}
  for name, value in pairs(params or {}) do
    own[name] = value
  end
  for _, name in ipairs(FOREIGN) do
    if own[name] ~= nil then
      error(("params.%s: the kit's server chooses that itself"):format(name), level + 1)
    end
  end
  if own.authorize ~= nil and type(own.authorize) ~= "function" then
    error("params.authorize must be a function, got a " .. type(own.authorize), level + 1)
  end
  own.self = server
  own.authorize = authorize_by(server, own.authorize)
  return own
end

--- Listens at once. `script(client, request)` runs for each client, in a coroutine of its own.
function Server.new(session, params, script, level)
  if params ~= nil and type(params) ~= "table" then
    text.argument(1, "params", "table or nil", params, level + 1)
  elseif script ~= nil and type(script) ~= "function" then
    text.argument(2, "script", "function or nil", script, level + 1)
  end
  local server = setmetatable({
    session = session,
    script = script,
    clients = {},
    clients_by_connection = {},
    accepted = 0,
    requests = {},
  }, Server)
  local own = own_params(server, params, level + 1)
  local ok, handle, problem = pcall(websocket.listen, own, on_event)
  if not ok or not handle then
    error(ok and problem or handle, level + 1)
  end
  server.handle = handle
  session:own(handle)
  server.relay = Relay.new(session, handle.url, level + 1)
  server.url, server.port = server.relay.url, server.relay.port
  session.servers[#session.servers + 1] = server
  return server
end

--- The next client that has connected.
function Server:accept(timeout_ms)
  text.check_ms(1, "timeout_ms", timeout_ms, 2)
  local index = self.accepted + 1
  local session = self.session
  local came = session:await(function()
    return self.clients[index] ~= nil
  end, timeout_ms, "a client", 2)
  if not came then
    local problem = "expected a client, but none came in %d ms (%d have asked, %d came before)"
    local waited = timeout_ms or session.timeout
    error(problem:format(waited, #self.requests, self.accepted), 2)
  end
  self.accepted = index
  return self.clients[index]
end

--- From now on whoever wants in gets this answer.
function Server:refuse(status, headers, body)
  if type(status) ~= "number" or status % 1 ~= 0 or status < 200 or status > 599 then
    local got = type(status) == "number" and tostring(status) or "a " .. type(status)
    error(("bad argument #1 'status' (200 to 599 expected, got %s)"):format(got), 2)
  elseif headers ~= nil and type(headers) ~= "table" then
    text.argument(2, "headers", "table or nil", headers, 2)
  elseif body ~= nil and type(body) ~= "string" then
    text.argument(3, "body", "string or nil", body, 2)
  end
  self.answer = function()
    return status, headers, body
  end
end

--- From now on whoever wants in gets these bytes in place of the handshake's answer, or what the
--- function makes of the request; and behind them the end of the stream, or with "silence" nothing.
function Server:garbage(bytes, after)
  bytes = bytes == nil and GARBAGE or bytes
  local is_function = type(bytes) == "function"
  local problem = not is_function and Relay.problem_of(bytes)
  if problem then
    error(("bad argument #1 'bytes' (%s)"):format(problem), 2)
  elseif after ~= nil and after ~= "end" and after ~= "silence" then
    local got = type(after) == "string" and text.quote(after) or "a " .. type(after)
    error(('bad argument #2 \'after\' ("end" or "silence" expected, got %s)'):format(got), 2)
  end
  self.answer = function(request)
    local own = bytes
    if is_function then
      own = bytes(request)
    end
    local own_problem = Relay.problem_of(own)
    if own_problem then
      error(("the function given to `garbage` returned no answer (%s)"):format(own_problem), 0)
    end
    local port = tonumber(request.remote_address:match("(%d+)$"))
    self.relay:inject(port, own, after or "end")
    return false -- nobody reads the server's own answer
  end
end

--- The end of `refuse` and of `garbage`.
function Server:allow()
  self.answer = nil
end

--- From now on this happens to what passes between clients and the server, and nothing else:
--- `latency` and `jitter` in milliseconds, `bandwidth` in bytes a second, `cut_after` so many bytes
--- (by a reset with `reset`), `stalled`. What stands in `to_server` or `to_client` is for that
--- direction alone. nil: no trouble.
function Server:network(trouble)
  self.relay:set_trouble(trouble, nil, 2)
end

--- Ends all connections without a Close: "end", as a process that is killed does, or "reset".
function Server:drop(how)
  Relay.resets(how, 2)
  self.relay:drop(how)
end

--- As if the machine were off: all connections drop, and the port refuses.
function Server:down(how)
  Relay.resets(how, 2)
  self.relay:down(how)
end

--- The end of `down`.
function Server:up()
  local ok, problem = pcall(self.relay.up, self.relay)
  if not ok then
    error(problem, 2)
  end
end

--- Says Close to all, 1001 unless another code is given, and listens no more.
function Server:close(code, reason)
  local ok, problem = pcall(self.handle.close, self.handle, code, reason)
  if not ok then
    error(problem, 2)
  end
end

--- Whether every connection has ended.
function Server:is_over()
  for _, client in ipairs(self.clients) do
    if not client.closed then
      return false
    end
  end
  return true
end

function Server:__tostring()
  return "testing server " .. self.url
end

return Server
