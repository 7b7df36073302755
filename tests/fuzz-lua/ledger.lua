-- Holds the module to its promises: every connection's events come in their order and end once,
-- and the messages of each sender arrive whole, in order, none twice and none left out.
local journal = require("journal")
local sender = require("sender")

local Endpoint = {}
Endpoint.__index = Endpoint

local ledger = {
  endpoints = {},
  injected = 0, -- errors from hooks, failed allocations and exhausted stacks
  lost = 0, -- events that nobody was told of, at most one for each of these errors
}

local by_name = {} -- endpoints
local made = 0 -- how many

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
  made = made + 1 -- at once: a finalizer may want one, too
  local name = kind .. made
  local endpoint = setmetatable({
    name = name,
    foreign = foreign or false,
    connected = false,
    failed = false,
    ended = false,
    asked = false, -- a server was asked whether to let it in
    verdict = nil, -- what it has said to that: "open" or a status
    gave_up = false, -- disconnected before CONNECTED
    lingers = true, -- disconnect waits for the peer
    left = nil, -- where it does not: the code and the reason that were asked for
    refused = false, -- connect raised: there is no connection
    optional = false, -- there may be no connection, or nobody who is told its end
    received = 0,
    sending = false,
    sender = sender.new(name),
    seen = {}, -- the last number of each sender
    overtaken = {}, -- by sender: {the last number that cannot come any more, what has come}
  }, Endpoint)
  ledger.endpoints[#ledger.endpoints + 1] = endpoint
  by_name[name] = endpoint
  return endpoint
end

-- Clients of servers that are here have their names as their paths.
function ledger.client_of(path)
  return by_name[path:match("^/(%w+)")]
end

function Endpoint:broken(text)
  journal.fail(self.name .. ": " .. text)
end

local function check_gap(self, from, first, last)
  local missing = 0
  for number = first, last do
    if from:fate(number, self) == "taken" then
      missing = missing + 1
    end
  end
  if missing > 0 then
    lose(missing, self, ("messages of %s before number %d"):format(from.name, last + 1))
  end
end

-- A message with a key overtakes nothing that was sent before it without one.
local function check_overtaken(self, from, number)
  local overtaken = self.overtaken[from]
  if overtaken and number <= overtaken[1] then
    self:broken(("number %d of %s after %s"):format(number, from.name, overtaken[2]))
  elseif from.leader then
    local what = ("number %d of %s, which was sent behind it"):format(number, from.name)
    self.overtaken[from.leader] = { from.behind[number], what }
  end
end

-- A message has come.
function Endpoint:receive(message, kind)
  self.received = self.received + 1
  local from, number, sent_as, is_whole = sender.recognize(message)
  if not from then
    if not self.foreign then
      self:broken(("nobody sent %q"):format(message:sub(1, 60)))
    end
    return
  end
  local last = self.seen[from] or 0
  local what = ("number %d of %s"):format(number, from.name)
  if number <= last then
    self:broken(("%s after number %d"):format(what, last))
  end
  self.seen[from] = number
  local fate = from:fate(number, self)
  if fate == nil or fate == "refused" then
    self:broken(what .. " was refused and came")
  elseif sent_as ~= kind then
    self:broken(what .. " changed its type")
  elseif not is_whole then
    self:broken(what .. " is damaged")
  end
  check_overtaken(self, from, number)
  check_gap(self, from, last + 1, number - 1)
end

-- Whether all that a sender has sent so far, with keys and without, has come.
function Endpoint:has_all_of(from)
  if (self.seen[from] or 0) < from:last(self) then
    return false
  end
  for _, of_key in pairs(from.keys) do
    if not self:has_all_of(of_key) then
      return false
    end
  end
  return true
end

function Endpoint:check_alive(event)
  if self.ended then
    self:broken(event .. " after the end")
  elseif self.refused then
    self:broken(event .. " of a connection that was refused")
  elseif self.left and event ~= "DISCONNECTED" then
    if not self.left.is_overheard then
      self:broken(event .. " after disconnect")
    end
    self.left.is_overheard = false
  end
end

-- Disconnected for good: one more event is due. By a finalizer: besides one that was on its way
-- to its callback, in whose preparation it ran.
function Endpoint:leave(code, reason, in_finalizer)
  self.left = {
    code = tonumber(code or 1000),
    reason = tostring(reason or ""),
    is_overheard = in_finalizer,
  }
end

-- A server of ours asks whether to let it in.
function Endpoint:on_asked()
  if self.asked then
    self:broken("asked twice")
  end
  self.asked = true
end

-- What came of that, as its client sees it: "open", or a status. Servers say 503 by themselves,
-- where they are full or an answer takes too long, and 500 after an error.
function Endpoint:on_verdict(got)
  local expected = self.verdict
  if not expected or got == expected or got == 503 or got == 500 and ledger.injected > 0 then
    return
  end
  self:broken(("is told %s and gets %s"):format(tostring(expected), tostring(got)))
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
