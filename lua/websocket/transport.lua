--- One connection of the module, and the WebSocket objects that share it: turns the module's
--- events into theirs.
local websocket = ...

local EventTarget = require("websocket.EventTarget")
local codes = require("websocket.codes")

local dispatch = EventTarget.dispatch
local CONNECTING, OPEN, CLOSING, CLOSED = 0, 1, 2, 3
local EVENT_CONNECTED, EVENT_DISCONNECTED = websocket.EVENT_CONNECTED, websocket.EVENT_DISCONNECTED
local EVENT_MESSAGE, EVENT_ERROR = websocket.EVENT_MESSAGE, websocket.EVENT_ERROR
local DATA_TYPE_TEXT, DATA_TYPE_BINARY = websocket.DATA_TYPE_TEXT, websocket.DATA_TYPE_BINARY

local Transport = {}
Transport.__index = Transport

--- `address` is what url.parse returns; `wants_protocol`: a server that names none is refused.
function Transport.new(address, wants_protocol)
  return setmetatable({
    readyState = CONNECTING,
    url = address.href,
    origin = address.origin,
    protocol = "",
    extensions = "",
    wants_protocol = wants_protocol,
    was_open = false,
    has_failed = false,
    buffered_at_end = 0,
    written_at_end = 0,
    sockets = {},
    _take_error = EventTarget.report,
  }, Transport)
end

--- What the messages of a kind that one socket gets have in common.
local function shared_fields(transport, socket, binary)
  return {
    __index = {
      target = socket,
      currentTarget = socket,
      origin = transport.origin,
      binary = binary,
    },
  }
end

local function new_messages(transport, socket)
  return {
    [DATA_TYPE_TEXT] = shared_fields(transport, socket, false),
    [DATA_TYPE_BINARY] = shared_fields(transport, socket, true),
  }
end

--- `sockets` never changes in place: an event goes to those that were there when it came.
local function set_sockets(self, sockets)
  self.sockets = sockets
  self.only = not sockets[2] and sockets[1] or nil
end

function Transport:attach(socket)
  local sockets = {}
  for i, other in ipairs(self.sockets) do
    sockets[i] = other
  end
  sockets[#sockets + 1] = socket
  socket._messages = new_messages(self, socket)
  set_sockets(self, sockets)
end

function Transport:detach(socket)
  local sockets = {}
  for _, other in ipairs(self.sockets) do
    if other ~= socket then
      sockets[#sockets + 1] = other
    end
  end
  set_sockets(self, sockets)
end

--- Whether the module still takes messages.
function Transport:accepts()
  return self.connection ~= nil and self.connection:state() == "open"
end

--- Bytes that were given to `send` and not yet to the network; when it is over, what was left.
function Transport:buffered()
  return self.connection and self.connection:buffered() or self.buffered_at_end
end

--- How many messages the network has taken to their last byte; when it is over, how many it took.
function Transport:written()
  return self.connection and self.connection:stats().messages_sent or self.written_at_end
end

--- Nothing, once the connection is closing.
function Transport:close(code, reason)
  if self.readyState >= CLOSING then
    return
  end
  self.readyState = CLOSING
  websocket.disconnect(self.connection, code, reason)
end

local function emit_open(transport)
  for _, socket in ipairs(transport.sockets) do
    dispatch(socket, { type = "open", target = socket, currentTarget = socket })
  end
end

local function emit_error(transport, code, message)
  for _, socket in ipairs(transport.sockets) do
    dispatch(socket, {
      type = "error",
      target = socket,
      currentTarget = socket,
      code = code,
      name = codes.error_names[code] or "UnknownSocketError",
      message = message,
    })
  end
end

local function emit_close(transport, code, reason, clean)
  for _, socket in ipairs(transport.sockets) do
    dispatch(socket, {
      type = "close",
      target = socket,
      currentTarget = socket,
      code = code,
      reason = reason,
      wasClean = clean,
    })
  end
end

--- The first failure; what goes wrong after it is its consequence.
local function fail(transport, code, message)
  if transport.has_failed then
    return
  end
  transport.has_failed = true
  transport.readyState = CLOSED
  emit_error(transport, code, message)
end

--- A server that confirms none of the offered subprotocols is refused, as the WHATWG
--- standard asks; the module itself accepts it, as RFC 6455 does.
local function refuse_protocol(transport, connection)
  websocket.disconnect(connection)
  fail(
    transport,
    codes.SocketError.OperationError,
    "the server chose none of the subprotocols that were offered"
  )
end

function Transport:open(connection, data)
  self.connection = connection
  self.protocol = connection.protocol
  self.extensions = connection.extensions
  self.handshakeResponse = data.handshake_response
  if self.readyState ~= CONNECTING then
    return
  elseif self.wants_protocol and self.protocol == "" then
    refuse_protocol(self, connection)
    return
  end
  self.readyState = OPEN
  self.was_open = true
  emit_open(self)
end

local function finish(transport, connection, data)
  transport.buffered_at_end = connection:buffered()
  transport.written_at_end = connection:stats().messages_sent or 0
  transport.connection = nil
  if not transport.was_open then
    fail(
      transport,
      codes.SocketError.OperationError,
      "the WebSocket was closed before the connection was established"
    )
  end
  transport.readyState = CLOSED
  if transport.has_failed then
    emit_close(transport, codes.CloseCode.AbnormalDisconnection, "", false)
  else
    emit_close(transport, data.code, data.reason, data.clean)
  end
  set_sockets(transport, {})
end

-- Where the listener is compiled into the same trace, LuaJIT makes no table at all of one
-- that is built like this, and any other way costs one.
local is_compiled = rawget(_G, "jit") ~= nil and jit.status() -- luacheck: globals jit

--- Elsewhere the table that the module made for this one message becomes the event: another
--- one with six fields would cost more than all the rest of the way to the listener. For the
--- same reason the usual single listener is called right here, without a net: the module
--- hands what it raises to `_take_error`.
local function emit_message(socket, data)
  local listeners = socket._listeners.message
  if not listeners then
    return
  end
  local event
  if is_compiled then
    event = {
      type = "message",
      target = socket,
      currentTarget = socket,
      data = data.message,
      origin = socket._transport.origin,
      binary = data.type == DATA_TYPE_BINARY,
    }
  else
    event = setmetatable(data, socket._messages[data.type])
    event.type, event.data = "message", data.message
  end
  local listener = listeners[1]
  local callback = listener.callback
  if listeners[2] or listener.once or not callback then
    dispatch(socket, event)
  else
    callback(event, socket)
  end
end

--- One socket's listener must not keep the message from the next: each has its net.
local function emit_copies(transport, data)
  for _, socket in ipairs(transport.sockets) do
    EventTarget.call(emit_message, socket, { message = data.message, type = data.type })
  end
end

local function other_event(transport, connection, data)
  local event = data.event
  if event == EVENT_CONNECTED then
    transport:open(connection, data)
  elseif event == EVENT_ERROR then
    transport.handshakeResponse = data.handshake_response or transport.handshakeResponse
    fail(transport, data.error, data.message)
  elseif event == EVENT_DISCONNECTED then
    finish(transport, connection, data)
  end
end

--- The module's callback, with the transport as its `self`.
function Transport.receive(transport, connection, data)
  if data.event ~= EVENT_MESSAGE then
    other_event(transport, connection, data)
  elseif transport.readyState == OPEN then
    if transport.only then
      emit_message(transport.only, data)
    else
      emit_copies(transport, data)
    end
  end
end

return Transport
