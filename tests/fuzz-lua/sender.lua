-- Messages that are numbered in one order, and what became of each: "taken", "refused" or, where
-- nobody can tell whether it must come, "unsure".
local Sender = {}
Sender.__index = Sender

local by_name = {}
local keyed = 0 -- senders of messages that replace each other

local function new(name)
  local sender = setmetatable({
    name = name,
    sent = 0,
    everybody = { fates = {}, last = 0 }, -- `last`: the number of the last that was taken
    receivers = {}, -- the same of those for whom it is another
    keys = {}, -- by key: the sender of what has it
    leader = nil, -- of one with a key: whose it is
    behind = {}, -- and what its leader had sent before each of its messages
  }, Sender)
  by_name[name] = sender
  return sender
end

-- The sender of what is sent with a key, of which only the latest counts.
function Sender:keyed(key)
  local own = self.keys[key]
  if not own then
    keyed = keyed + 1
    own = new("k" .. keyed)
    own.leader = self
    self.keys[key] = own
  end
  return own
end

local function compose(name, number, size, kind)
  local head = ("%s:%d:%d:%d;"):format(name, number, size, kind)
  return head .. string.char(97 + number % 26):rep(size)
end

-- The next message: its number and its bytes. Settle what became of it.
function Sender:draft(size, kind)
  self.sent = self.sent + 1
  self.everybody.fates[self.sent] = "unsure"
  self.behind[self.sent] = self.leader and self.leader.sent
  return self.sent, compose(self.name, self.sent, size, kind)
end

-- What became of a message: for one receiver, or for everybody.
function Sender:settle(number, fate, receiver)
  local own = self.everybody
  if receiver then
    own = self.receivers[receiver] or { fates = {}, last = 0 }
    self.receivers[receiver] = own
  end
  if self.leader and fate ~= "refused" and own.last > 0 then
    own.fates[own.last] = "unsure" -- it may have been replaced
  end
  if fate == "taken" then
    own.last = number
  end
  own.fates[number] = fate
end

-- Nil: there is no such message.
function Sender:fate(number, receiver)
  local own = self.receivers[receiver]
  return own and own.fates[number] or self.everybody.fates[number]
end

-- The number of the last message that a receiver must get, or one that has replaced it.
function Sender:last(receiver)
  return (self.receivers[receiver] or self.everybody).last
end

-- Whose a message is, its number, and its type as it was sent; nil if it is nobody's here. False:
-- it is damaged.
local function recognize(message)
  local name, number, size, kind = message:match("^(%a+%d+):(%d+):(%d+):(%d);")
  local sender = by_name[name]
  if not sender then
    return nil
  end
  number, size, kind = tonumber(number), tonumber(size), tonumber(kind)
  return sender, number, kind, message == compose(name, number, size, kind)
end

return { new = new, recognize = recognize }
