-- Holds the module to its promises: every connection's events come in their order and end once,
-- and the messages of each sender arrive whole, in order, none twice and none left out.
local journal = require("journal")

local Endpoint = {}
Endpoint.__index = Endpoint

local ledger = {
  endpoints = {},
  senders = {}, -- by name: what became of each message, by its number
  injected = 0, -- errors from hooks, failed allocations and exhausted stacks
  lost = 0, -- events that nobody was told of, at most one for each of these errors
}

-- Connections and callbacks, to see that nothing holds them in the end.
local watched = setmetatable({}, { __mode = "k" })

function ledger.watch(object, what)
  watched[object] = what
end

function ledger.held()
  local names = {}
  for _, what in pairs(watched) do
    names[#names + 1] = what
  end
  return names
end

function ledger.injection(what)
  ledger.injected = ledger.injected + 1
  journal.note("injected", what)
end

local function lose(count, endpoint, what)
  ledger.lost = ledger.lost + count
  if ledger.lost > ledger.injected then
    journal.fail(
      ("%s: %d %s lost; %d events lost in all, %d errors injected"):format(
        endpoint.name,
        count,
        what,
        ledger.lost,
        ledger.injected
      )
    )
  end
end

-- `foreign`: its peer sends what nobody here wrote.
function ledger.endpoint(kind, foreign)
  local name = kind .. #ledger.endpoints + 1
  local endpoint = setmetatable({
    name = name,
    foreign = foreign or false,
    connected = false,
    failed = false,
    ended = false,
    gave_up = false, -- disconnected before CONNECTED
    lingers = true, -- disconnect waits for the peer
    left = nil, -- where it does not: the code and the reason that were asked for
    refused = false, -- connect raised: there is no connection
    optional = false, -- there may be no connection, or nobody who is told its end
    received = 0,
    sent = 0,
    sending = false,
    seen = {}, -- the last number of each sender
    fates = {},
  }, Endpoint)
  ledger.endpoints[#ledger.endpoints + 1] = endpoint
  ledger.senders[name] = endpoint.fates
  return endpoint
end

function Endpoint:broken(text)
  journal.fail(self.name .. ": " .. text)
end

local function compose(sender, number, size, kind)
  local head = ("%s:%d:%d:%d;"):format(sender, number, size, kind)
  return head .. string.char(97 + number % 26):rep(size)
end

-- The next message to send: its number and its bytes. Settle what became of it.
function Endpoint:draft(size, kind)
  self.sent = self.sent + 1
  self.fates[self.sent] = "unsure"
  return self.sent, compose(self.name, self.sent, size, kind)
end

-- `fate`: "taken", "refused" or, where an injected error left the answer open, "unsure".
function Endpoint:settle(number, fate)
  self.fates[number] = fate
end

local function check_gap(self, sender, fates, from, to)
  local missing = 0
  for number = from, to do
    if fates[number] == "taken" then
      missing = missing + 1
    end
  end
  if missing > 0 then
    lose(missing, self, ("messages of %s before number %d"):format(sender, to + 1))
  end
end

-- A message has come.
function Endpoint:receive(message, kind)
  self.received = self.received + 1
  local sender, number, size, sent_as = message:match("^(%a+%d+):(%d+):(%d+):(%d);")
  if self.foreign and not sender then
    return
  end
  local fates = sender and ledger.senders[sender]
  if not fates then
    self:broken(("nobody sent %q"):format(message:sub(1, 60)))
  end
  number = tonumber(number)
  local last = self.seen[sender] or 0
  if number <= last then
    self:broken(("number %d of %s after number %d"):format(number, sender, last))
  end
  self.seen[sender] = number
  if fates[number] == nil or fates[number] == "refused" then
    self:broken(("number %d of %s was refused and came"):format(number, sender))
  elseif tonumber(sent_as) ~= kind then
    self:broken(("number %d of %s changed its type"):format(number, sender))
  elseif message ~= compose(sender, number, tonumber(size), kind) then
    self:broken(("number %d of %s is damaged"):format(number, sender))
  end
  check_gap(self, sender, fates, last + 1, number - 1)
end

function Endpoint:check_alive(event)
  if self.ended then
    self:broken(event .. " after the end")
  elseif self.refused then
    self:broken(event .. " of a connection that was refused")
  elseif self.left and event ~= "DISCONNECTED" then
    self:broken(event .. " after disconnect")
  end
end

-- Disconnected for good: one more event is due.
function Endpoint:leave(code, reason)
  self.left = { code = tonumber(code or 1000), reason = tostring(reason or "") }
end

function Endpoint:on_connected()
  self:check_alive("CONNECTED")
  if self.connected or self.failed or self.received > 0 then
    self:broken("CONNECTED late or twice")
  elseif self.gave_up then
    self:broken("CONNECTED after disconnect")
  end
  self.connected = true
end

function Endpoint:on_message(message, kind)
  self:check_alive("MESSAGE")
  if self.gave_up then
    self.gave_up, self.connected = false, true
    lose(1, self, "CONNECTED, after which messages would not have come")
  elseif self.failed then
    self:broken("MESSAGE after ERROR")
  elseif not self.connected then
    self.connected = true
    lose(1, self, "CONNECTED")
  end
  self:receive(message, kind)
end

function Endpoint:on_error(text)
  self:check_alive("ERROR")
  if self.failed then
    self:broken("a second ERROR: " .. tostring(text))
  end
  self.failed = true
end

function Endpoint:on_disconnected(code, reason)
  self:check_alive("DISCONNECTED")
  self.ended = true
  local left = self.left
  if left and (left.code ~= code or left.reason ~= reason) then
    self:broken(("left with %d and ended with %s"):format(left.code, tostring(code)))
  end
  if type(code) ~= "number" then
    self:broken("DISCONNECTED without a code")
  end
end

-- When everything is over: who has not been told the end?
function ledger.settle_ends()
  for _, endpoint in ipairs(ledger.endpoints) do
    if not (endpoint.ended or endpoint.refused or endpoint.optional) then
      endpoint.ended = true
      lose(1, endpoint, "DISCONNECTED")
    end
  end
end

return ledger
