--- The browser's WebSocket: https://websockets.spec.whatwg.org, in Lua's spelling.
local websocket = ...

local EventTarget = require("websocket.EventTarget")
local Exception = require("websocket.exception")
local Transport = require("websocket.transport")
local arguments = require("websocket.arguments")
local codes = require("websocket.codes")
local interface = require("websocket.interface")

local CONNECTING, OPEN = 0, 1
local raise = Exception.raise

local WebSocket = { CloseCode = codes.CloseCode, SocketError = codes.SocketError }
local metatable = { __name = "WebSocket" }
local events = { onopen = "open", onmessage = "message", onerror = "error", onclose = "close" }
local methods, getters = {}, {}

--- What is wrong with an option is raised by the module; here it gets the script's line.
local function open_connection(address, params)
  local ok, connection = pcall(websocket.connect, address.href, params, Transport.receive)
  if not ok then
    raise("TypeError", tostring(connection))
  end
  return connection
end

local function connect(address, protocols, options)
  local transport = Transport.new(address, protocols[1] ~= nil)
  local params = {}
  for name, value in pairs(options) do
    params[name] = value
  end
  params.protocol = protocols[1] and protocols or nil
  params.self, params.linger = transport, true
  transport.connection = open_connection(address, params)
  return transport
end

local function new_object(transport)
  local socket = { _listeners = {}, _transport = transport, _binary_type = "blob", _dropped = 0 }
  transport:attach(socket)
  return setmetatable(socket, metatable)
end

--- `WebSocket(url[, protocols[, options]])`, or `WebSocket(other)`: a second object on the
--- connection of another, with handlers of its own.
function WebSocket.new(target, protocols, options)
  local kind = getmetatable(target)
  if kind == metatable then
    return new_object(target._transport)
  elseif kind == Transport then
    return new_object(target)
  end
  options = arguments.options(options)
  local address = arguments.url(target, options.allowAnyPort)
  if protocols == nil then
    protocols = options.protocol
  end
  return new_object(connect(address, arguments.protocols(protocols), options))
end

--- `websocket.createWebSocket`: an empty protocol is none.
function WebSocket.create(url, protocol)
  return WebSocket.new(url, protocol ~= "" and protocol or nil)
end

local function drop(socket, text)
  socket._dropped = socket._dropped + #text
end

--- The module refused a message of an open connection: what did it not like?
local function refuse(socket, text, as, reason)
  arguments.check_text(text, as)
  if socket._transport:accepts() then
    raise("QuotaExceededError", tostring(reason))
  end
  drop(socket, text)
end

--- `send(data)` is a text message, `send(data, "binary")` a binary one. Returns the socket, as
--- `close` does: calls chain.
function methods:send(data, kind)
  local text, as = arguments.message(data, kind)
  local transport = self._transport
  if not transport then
    Exception.expected("what socket:send(data) is called on", "a WebSocket", self)
  elseif transport.readyState == OPEN then
    local ok, reason = pcall(websocket.send, transport.connection, text, as)
    if not ok then
      refuse(self, text, as, reason)
    end
  elseif transport.readyState == CONNECTING then
    raise("InvalidStateError", "the WebSocket is not open yet: send in onopen")
  else
    arguments.check_text(text, as)
    drop(self, text)
  end
  return self
end

--- `close([code[, reason]])`. Without a code it sends 1000, where browsers send none.
function methods:close(code, reason)
  self._transport:close(arguments.close(code, reason))
  return self
end

--- Removes all handlers, then closes.
function methods:destroy()
  EventTarget.clear(self)
  self._transport:detach(self)
  self._transport:close(1000, "")
end

for _, name in ipairs({ "url", "readyState", "protocol", "extensions", "handshakeResponse" }) do
  getters[name] = function(socket)
    return socket._transport[name]
  end
end

--- Bytes that `send` took and the network did not, those after the close included.
function getters.bufferedAmount(socket)
  return socket._transport:buffered() + socket._dropped
end

return interface.class(metatable, {
  statics = WebSocket,
  methods = methods,
  getters = getters,
  events = events,
})
