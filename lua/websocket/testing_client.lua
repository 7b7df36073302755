--- A client, as the kit's server sees it.
local _, _, internal = ...

local Relay = require("websocket.testing_relay")
local text = require("websocket.testing_text")

local native = internal.native

--- No frame begins like this: reserved bits, an opcode that nobody knows, and a mask where none is.
local GARBAGE = ("\255"):rep(16)
--- So many messages of before stand in a failure.
local SHOWN = 5

local Client = {}
Client.__index = Client
Client.__name = "websocket.testing.client"

--- `request` is that of CONNECTED.
function Client.new(server, connection, request)
  return setmetatable({
    server = server,
    connection = connection,
    request = request,
    messages = {},
    types = {},
    taken = 0,
    port = tonumber(connection.remote_address:match("(%d+)$")),
  }, Client)
end

function Client:push(message, kind)
  local count = #self.messages + 1
  self.messages[count], self.types[count] = message, kind
end

--- What came before, for a failure.
local function history(client)
  local lines = {}
  for index = math.max(1, client.taken - SHOWN + 1), client.taken do
    lines[#lines + 1] = "\n  " .. text.message(client.messages[index], client.types[index])
  end
  return #lines > 0 and "\nbefore it came" .. table.concat(lines) or ""
end

local function end_of(client)
  local problem = client.problem
  return text.close(client.closed) .. (problem and " (" .. problem.message .. ")" or "")
end

local function fail(client, what, happened, level)
  error(("expected %s, but %s%s"):format(what, happened, history(client)), level + 1)
end

--- Waits for the next message, which is taken by that.
local function take(client, what, timeout_ms, level)
  local session = client.server.session
  session:await(function()
    return client.taken < #client.messages or client.closed ~= nil
  end, timeout_ms, what, level + 1)
  local index = client.taken + 1
  if client.messages[index] == nil then
    local happened = client.closed and end_of(client)
      or ("nothing came in %d ms"):format(timeout_ms or session.timeout)
    fail(client, what, happened, level + 1)
  end
  local message, kind = client.messages[index], client.types[index]
  return message, kind, index
end

local function described(expected)
  if expected == nil then
    return "a message"
  elseif type(expected) == "function" then
    return "a message that the function takes"
  end
  return "the message " .. text.quote(expected)
end

--- Whether a message is what is expected.
local function fits(expected, message, kind)
  if type(expected) == "function" then
    return expected(message, kind)
  end
  return expected == nil or expected == message
end

local function expect(client, expected, timeout_ms, level)
  if expected ~= nil and type(expected) ~= "string" and type(expected) ~= "function" then
    text.argument(1, "expected", "string, function or nil", expected, level + 1)
  end
  local what = described(expected)
  local message, kind, index = take(client, what, timeout_ms, level + 1)
  if not fits(expected, message, kind) then
    fail(client, what, text.message(message, kind) .. " came", level + 1)
  end
  client.taken = index
  return message, kind
end

--- The next message, which must be this one; or one for which `expected(message, type)` returns
--- something true. Without either it is any. Returns it, and its type.
function Client:expect(expected, timeout_ms)
  text.check_ms(2, "timeout_ms", timeout_ms, 2)
  local message, kind = expect(self, expected, timeout_ms, 2) -- no tail call: levels count
  return message, kind
end

--- The next message, which a pattern must match. Returns the captures, or the match.
function Client:expect_match(pattern, timeout_ms)
  if type(pattern) ~= "string" then
    text.argument(1, "pattern", "string", pattern, 2)
  end
  text.check_ms(2, "timeout_ms", timeout_ms, 2)
  local what = "a message that matches " .. text.quote(pattern)
  local message, kind, index = take(self, what, timeout_ms, 2)
  if not message:find(pattern) then
    fail(self, what, text.message(message, kind) .. " came", 2)
  end
  self.taken = index
  return message:match(pattern)
end

--- The first message that fits, as `expect` has it; those before it are taken, too.
function Client:skip_to(expected, timeout_ms)
  if type(expected) ~= "string" and type(expected) ~= "function" then
    text.argument(1, "expected", "string or function", expected, 2)
  end
  text.check_ms(2, "timeout_ms", timeout_ms, 2)
  local what, index, is_found = described(expected), self.taken, false
  local session = self.server.session
  session:await(function()
    while not is_found and index < #self.messages do
      index = index + 1
      is_found = fits(expected, self.messages[index], self.types[index])
    end
    return is_found or self.closed ~= nil
  end, timeout_ms, what, 2)
  self.taken = index
  if not is_found then
    local waited = ("it did not come in %d ms"):format(timeout_ms or session.timeout)
    fail(self, what, self.closed and end_of(self) or waited, 2)
  end
  return self.messages[index], self.types[index]
end

--- Waits for the end of the connection, by this code where it is given. No message may come before
--- that is not taken. Returns the data of DISCONNECTED.
function Client:expect_close(code, timeout_ms)
  if code ~= nil and type(code) ~= "number" then
    text.argument(1, "code", "number or nil", code, 2)
  end
  text.check_ms(2, "timeout_ms", timeout_ms, 2)
  local what = code and ("the close code %d"):format(code) or "the end"
  local session = self.server.session
  session:await(function()
    return self.closed ~= nil or self.taken < #self.messages
  end, timeout_ms, what, 2)
  local next_message = self.messages[self.taken + 1]
  if next_message then
    fail(self, what, text.message(next_message, self.types[self.taken + 1]) .. " came", 2)
  elseif not self.closed then
    local happened = "the connection was open after %d ms"
    fail(self, what, happened:format(timeout_ms or session.timeout), 2)
  elseif code and self.closed.code ~= code then
    fail(self, what, end_of(self), 2)
  end
  return self.closed
end

--- Calls the connection's own; its error is the caller's.
local function call(client, name, first, second, level)
  local connection = client.connection
  local ok, problem = pcall(connection[name], connection, first, second)
  if not ok then
    local over = client.closed and ": " .. end_of(client) or ""
    error(tostring(problem) .. over, level + 1)
  end
end

--- As the connection's own.
function Client:send(message, options)
  call(self, "send", message, options, 2)
end

--- Expects a message, and sends one.
function Client:answer(expected, reply, options)
  local message, kind = expect(self, expected, nil, 2)
  call(self, "send", reply, options, 2)
  return message, kind
end

--- Sends Close: 1000 unless another code is given.
function Client:close(code, reason)
  call(self, "disconnect", code, reason, 2)
end

--- Ends the connection without a Close: "end", as a process that is killed does, or "reset".
function Client:drop(how)
  native.cut(self.server.relay.id, self.port, Relay.resets(how, 2))
end

--- Sends bytes that are no frame, behind what was sent.
function Client:garbage(bytes)
  bytes = bytes == nil and GARBAGE or bytes
  local problem = Relay.problem_of(bytes)
  if problem then
    error(("bad argument #1 'bytes' (%s)"):format(problem), 2)
  end
  local connection = self.connection
  self.server.session:await(function()
    return connection:state() ~= "open" or connection:buffered() == 0
  end, nil, "what was sent to leave", 2)
  self.server.relay:inject(self.port, bytes)
end

--- Waits, while the clock on the wall goes on.
function Client:delay(ms)
  if ms == nil then
    text.argument(1, "ms", "number", ms, 2)
  end
  text.check_ms(1, "ms", ms, 2)
  self.server.session:await(function()
    return false
  end, ms, "some time", 2)
end

--- What happens to this client's bytes from now on: see the server's.
function Client:network(trouble)
  self.server.relay:set_trouble(trouble, self.port, 2)
end

--- Whether the connection is open.
function Client:is_open()
  return self.closed == nil and self.connection:state() == "open"
end

function Client:__tostring()
  return ("testing client of %s: %s"):format(self.server.url, self.request.path)
end

return Client
