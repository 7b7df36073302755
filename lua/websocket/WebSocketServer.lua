--- A server whose connections are WebSocket objects.
local websocket = ...

local EventTarget = require("websocket.EventTarget")
local Exception = require("websocket.exception")
local Transport = require("websocket.transport")
local Signal = require("websocket.signal")
local WebSocket = require("websocket.WebSocket")
local arguments = require("websocket.arguments")
local codes = require("websocket.codes")
local members = require("websocket.members")

local EVENT_CONNECTED, EVENT_DISCONNECTED = websocket.EVENT_CONNECTED, websocket.EVENT_DISCONNECTED

local CloseCode = codes.CloseCode

local WebSocketServer = {}
local metatable = { __name = "WebSocketServer" }
local methods, getters, setters = {}, {}, {}

-- What the server's options are called where they differ from the module's parameters.
local parameter_names = {
  maxConnections = "max_connections",
  maxHandshakes = "max_handshakes",
  allowAnyOrigin = "allow_any_origin",
}

local function check_server_name(name)
  if type(name) ~= "string" then
    Exception.expected("serverName", "a string", name)
  elseif name:find("%c") then
    Exception.raise("TypeError", "serverName must not contain control characters")
  end
end

--- The script's headers, with the server's name among them.
local function with_name(headers, name)
  if type(headers) == "string" then
    return "Server: " .. name .. "\r\n" .. headers
  elseif headers ~= nil and type(headers) ~= "table" then
    return headers -- the module says what is wrong with it
  end
  local all = { Server = name }
  for key, value in pairs(headers or {}) do
    all[key] = value
  end
  return all
end

local function read_options(options, server)
  local params = {}
  for name, value in pairs(options) do
    params[parameter_names[name] or name] = value
  end
  if params.serverName ~= nil then
    check_server_name(params.serverName)
    params.headers = with_name(params.headers, params.serverName)
    params.serverName = nil
  end
  params.self = server
  return params
end

--- What a script sees of the URL of an accepted connection: the server's, and the path.
local function address_of(server, request)
  return { href = server._handle.url .. request.path, origin = server._handle.url }
end

local function greet(server, connection, data)
  local transport = Transport.new(address_of(server, data.request), false)
  local socket = WebSocket.new(transport)
  server._transports[connection] = transport
  transport:open(connection, data)
  server._signal:emit(socket, data.request)
end

--- The module's callback, with the server as its `self`.
local function receive(server, connection, data)
  local event = data.event
  if event == EVENT_CONNECTED then
    greet(server, connection, data)
    return
  end
  local transport = server._transports[connection]
  if event == EVENT_DISCONNECTED then
    server._transports[connection] = nil
  end
  if transport then
    Transport.receive(transport, connection, data)
  end
end

--- What is wrong with an option, or with the address, is raised.
local function listen(params)
  local ok, handle, reason, code = pcall(websocket.listen, params, receive)
  if not ok then
    local message = tostring(handle)
    for name, parameter in pairs(parameter_names) do
      message = message:gsub("^params%." .. parameter, name)
    end
    Exception.raise("TypeError", message)
  elseif not handle then
    Exception.raise(codes.error_names[code] or "UnknownSocketError", reason)
  end
  return handle
end

--- `WebSocketServer{port = 0, host = "127.0.0.1", ...}` listens at once.
function WebSocketServer.new(options)
  options = arguments.options(options)
  local server = { _transports = {}, _signal = Signal.new(), _listening = true }
  server._take_error = EventTarget.report
  server._handle = listen(read_options(options, server))
  server._server_name = options.serverName or ""
  return setmetatable(server, metatable)
end

--- Sends 1001 to all and stops.
function methods:close()
  if not self._listening then
    return
  end
  self._listening = false
  for _, transport in pairs(self._transports) do
    transport:close(CloseCode.GoingAway, "Server closing.")
  end
  self._handle:close(CloseCode.GoingAway, "Server closing.")
end

function getters.url(server)
  return server._handle.url
end

function getters.port(server)
  return server._handle.port
end

function getters.listening(server)
  return server._listening
end

function getters.serverName(server)
  return server._server_name
end

function getters.newConnection(server)
  return server._signal
end

function getters.onconnection(server)
  return server._onconnection
end

--- `fn(socket, request)`, like those of `newConnection`.
function setters.onconnection(server, callback)
  if callback ~= nil and type(callback) ~= "function" then
    Exception.expected("onconnection", "a function", callback)
  end
  server._signal:disconnect(server._slot)
  server._onconnection = callback
  -- A function of its own: the callback itself may be connected as well.
  server._slot = callback
    and server._signal:connect(function(socket, request)
      callback(socket, request)
    end)
end

members.of_objects(metatable, { methods = methods, getters = getters, setters = setters })
metatable.__close = methods.close

function metatable.__tostring(server)
  return ("WebSocketServer (%s%s)"):format(server.url, server.listening and "" or ", closed")
end

return members.of_class(WebSocketServer, {})
