--- The messages of a socket that comes and goes: those that wait for a connection, and those
--- that the present connection took and has not written yet.
local Exception = require("websocket.exception")
local arguments = require("websocket.arguments")

local Outbox = {}
Outbox.__index = Outbox

--- At most `limit` bytes wait.
function Outbox.new(limit)
  return setmetatable({ limit = limit, bytes = 0, waiting = {} }, Outbox):attach()
end

--- A new connection, which has been given nothing.
function Outbox:attach()
  self.given, self.first, self.last, self.total = {}, 1, 0, 0
  return self
end

--- Takes a message for later, or raises.
function Outbox:put(data, kind)
  local text, as = arguments.message(data, kind)
  arguments.check_text(text, as)
  if self.bytes + #text > self.limit then
    local message = "a message of %d bytes does not fit: %d wait already, and maxOutbox is %d"
    Exception.raise("QuotaExceededError", message:format(#text, self.bytes, self.limit))
  end
  self.bytes = self.bytes + #text
  self.waiting[#self.waiting + 1] = { text = text, kind = kind }
end

--- Whether the connection has written a message to its last byte. Of an empty one no count of
--- bytes tells.
local function is_written(self, number, bytes, transport)
  local message = self.given[number]
  return message.ends_at <= bytes and (message.text ~= "" or number <= transport:written())
end

--- What the connection has written is the network's; it is not sent again.
local function forget_written(self, transport)
  local given, first = self.given, self.first
  local bytes = self.total - transport:buffered()
  while first <= self.last and is_written(self, first, bytes, transport) do
    given[first] = nil
    first = first + 1
  end
  self.first = first
end

--- Sends a message on an open socket.
function Outbox:send(socket, data, kind)
  local text = arguments.message(data, kind)
  socket:send(text, kind)
  self.total = self.total + #text
  self.last = self.last + 1
  self.given[self.last] = { text = text, kind = kind, ends_at = self.total }
  forget_written(self, socket._transport)
end

--- Sends what waits, in order. What the socket refuses keeps waiting.
function Outbox:send_all(socket)
  local waiting = self.waiting
  self.waiting = {}
  for _, message in ipairs(waiting) do
    local is_refused = self.waiting[1]
      or not pcall(self.send, self, socket, message.text, message.kind)
    if is_refused then
      self.waiting[#self.waiting + 1] = message
    else
      self.bytes = self.bytes - #message.text
    end
  end
end

--- After the end of a connection: a message that it had not written to its last byte cannot
--- have arrived, so it waits again, before the others.
function Outbox:take_back(socket)
  forget_written(self, socket._transport)
  local waiting = {}
  for i = self.first, self.last do
    waiting[#waiting + 1] = self.given[i]
    self.bytes = self.bytes + #self.given[i].text
  end
  for _, message in ipairs(self.waiting) do
    waiting[#waiting + 1] = message
  end
  self.waiting = waiting
  self:attach()
end

--- Drops all messages. Returns how many bytes they had.
function Outbox:discard()
  local bytes = self.bytes
  self.waiting, self.bytes = {}, 0
  return bytes
end

return Outbox
