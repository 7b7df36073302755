-- The server of order.lua: whom it lets in, the pages that it answers, and what it sends to all.
local journal = require("journal")
local ledger = require("ledger")
local random = require("random")
local sender = require("sender")
local socket = require("socket")
local websocket = require("websocket")

local sides = require("sides")

local SIZES = { 0, 1, 62, 125, 126, 1000, 5000, 70000 }
local HEAD = 40 -- more than a message has besides
local BYTES = 8e6 -- of messages to all, for all of them together

local Crowd = {}
Crowd.__index = Crowd

local function page_of(path)
  return path .. ("."):rep(#path * 997 % 30000)
end

-- Waits for nobody: an answer that comes is whole, and the one to the last request.
local Reader = {}
Reader.__index = Reader

local function new_reader(port, name, count)
  local client = assert(socket.connect("127.0.0.1", port))
  client:settimeout(0)
  return setmetatable({ client = client, name = name, left = count, path = nil, text = "" }, Reader)
end

function Reader:ask()
  self.path = ("/page/%s/%d"):format(self.name, self.left)
  local request = ("GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n"):format(self.path)
  local sent, problem = self.client:send(request)
  if sent ~= #request then
    journal.fail(("%s was not sent: %s"):format(self.path, tostring(problem)))
  end
end

function Reader:tick()
  if self.left == 0 then
    return
  elseif not self.path then
    self:ask()
  end
  local all, problem, part = self.client:receive(100000)
  self.text = self.text .. (all or part)
  local head, body = self.text:match("^(.-\r\n)\r\n(.*)$")
  local length = head and tonumber(head:match("\r\n[Cc]ontent%-[Ll]ength: (%d+)\r\n"))
  if length and #body >= length then
    if head:sub(1, 13) ~= "HTTP/1.1 200 " or body ~= page_of(self.path) then
      journal.fail(("%s was answered %q"):format(self.path, self.text:sub(1, 100)))
    end
    self.left, self.path, self.text = self.left - 1, nil, ""
    sides.progress = websocket.now()
  elseif problem == "closed" then
    journal.fail(("%s was cut off: %q"):format(self.path, self.text:sub(1, 100)))
  end
  if self.left == 0 then
    self.client:close()
  end
end

local STATUSES = { 200, 401, 403, 404, 503 }

function Crowd:authorize(request)
  local number = request.path:match("^/refused/(%d+)$")
  if number then
    return STATUSES[number % #STATUSES + 1], { ["X-Number"] = number }, page_of(request.path)
  end
  local client = self.sides[request.path]
  client.endpoint:on_asked()
  return true, self.R:pick({ {}, { headers = { ["X-Path"] = request.path } } })
end

function Crowd:on_event(connection, data)
  if data.event == websocket.EVENT_CONNECTED then
    local client = self.sides[data.request.path]
    if self.asks and not client.endpoint.asked then
      client.endpoint:broken("CONNECTED without having been asked")
    end
    self.members[connection] = client
  end
  local client = self.members[connection]
  if data.event == websocket.EVENT_DISCONNECTED then
    self.members[connection] = nil
  end
  sides.on_event(client.peer, connection, data)
end

-- `params`: those of every server; of the rest chance decides.
local function new(seed, params, clients)
  local R = random.new(seed, "crowd")
  local crowd = setmetatable({
    R = R,
    sender = sender.new("h1"),
    total = R:pick({ 0, 10, 100, 300 }),
    quorum = 1, -- before so many are there, nothing is sent to all
    bytes_left = BYTES / clients,
    limit = params.max_send_queue,
    asks = R:once_in(2),
    sides = {}, -- of clients, by path
    members = {}, -- the same, by connection
    readers = {},
    refused = 0, -- who will be, and does not know yet
    trust = nil,
  }, Crowd)
  if crowd.asks then
    params.authorize = function(request)
      return crowd:authorize(request)
    end
  end
  params.request = function(request)
    return 200, nil, page_of(request.path)
  end
  params.unix = R:once_in(4) and arg[2]:gsub("%.log$", "-1.sock") or nil
  local certificates = R:once_in(8) and os.getenv("FUZZ_CERTIFICATES")
  if certificates then
    params.tls = { certificate = certificates .. "/one.pem", key = certificates .. "/one.key" }
    crowd.trust = { ca = certificates .. "/root.pem", server_name = "one.localhost" }
  end
  crowd.server = assert(websocket.listen(params, function(_, connection, data)
    crowd:on_event(connection, data)
  end))
  journal.note("listens", crowd.server.url)
  return crowd
end

function Crowd:url(path)
  return self.server.url .. path
end

-- A client that is not let in: it is told so, and nothing else.
local function refuse(crowd, number)
  local path = "/refused/" .. number
  local endpoint = ledger.endpoint("r")
  crowd.refused = crowd.refused + 1
  local params = { timeout = 120000, tls = crowd.trust }
  websocket.connect(crowd:url(path), params, function(_, _, data)
    sides.progress = websocket.now()
    if data.event == websocket.EVENT_ERROR then
      endpoint:on_error(data.message)
      local response = data.handshake_response or {}
      local is_right = response.status == STATUSES[number % #STATUSES + 1]
        and response.response == page_of(path)
      if not is_right then
        endpoint:broken(("%s: %s"):format(path, data.message))
      end
    elseif data.event == websocket.EVENT_DISCONNECTED and endpoint.failed then
      endpoint:on_disconnected(data.code)
      crowd.refused = crowd.refused - 1
    else
      endpoint:broken(("event %d instead of a refusal"):format(data.event))
    end
  end)
end

-- When it is known who will be there: those who come for something else.
function Crowd:invite()
  local clients = 0
  for _ in pairs(self.sides) do
    clients = clients + 1
  end
  if clients == 0 then
    self.total = 0
  else
    self.quorum = self.R:upto(clients)
  end
  if self.asks then
    for number = 1, self.R:pick({ 0, 1, 8 }) do
      refuse(self, number)
    end
  end
  if self.server.port > 0 and not self.trust then
    for number = 1, self.R:pick({ 0, 1, 4 }) do
      self.readers[number] = new_reader(self.server.port, tostring(number), self.R:upto(40))
    end
  end
end

function Crowd:has_sent()
  return self.sender.sent >= self.total
end

function Crowd:is_busy()
  for _, reader in ipairs(self.readers) do
    if reader.left > 0 then
      return true
    end
  end
  return self.refused > 0
end

-- Who is not excepted gets it, unless chance makes it one that those who are slow miss. One
-- that has no room for it would be closed.
function Crowd:broadcast(size)
  local R = self.R
  local options = { type = R:upto(2), slow = R:pick({ "wait", "wait", "drop" }), except = {} }
  local due, excepted = {}, {}
  for connection, client in pairs(self.members) do
    if connection:buffered() + size + HEAD > self.limit then
      return false
    elseif R:once_in(10) then
      excepted[#excepted + 1] = client.endpoint
      table.insert(options.except, connection)
    else
      due[#due + 1] = client.endpoint
    end
  end
  local own = self.sender
  if R:once_in(3) then
    options.latest = R:upto(2)
    own = own:keyed(options.latest)
  end
  local number, message = own:draft(size, options.type)
  local count = self.server:broadcast(message, options)
  if count > #due or options.slow == "wait" and count < #due then
    local text = "a broadcast (%s, key %s, %d of %d bytes) to %d went to %d"
    local key = tostring(options.latest)
    journal.fail(text:format(options.slow, key, size, self.limit, #due, count))
  end
  for _, endpoint in ipairs(due) do
    own:settle(number, count == #due and "taken" or "unsure", endpoint)
  end
  for _, endpoint in ipairs(excepted) do
    own:settle(number, "refused", endpoint)
  end
  return true
end

function Crowd:tick()
  for _, reader in ipairs(self.readers) do
    reader:tick()
  end
  local members = 0
  for _ in pairs(self.members) do
    members = members + 1
  end
  if members < self.quorum then
    return
  end
  for _ = 1, self.R:upto(10) do
    if self:has_sent() then
      return
    end
    local size = SIZES[math.min(self.R:upto(#SIZES), self.R:upto(#SIZES))]
    if self.bytes_left < 0 then
      size = 0
    end
    if not self:broadcast(size) then
      return
    end
    self.bytes_left = self.bytes_left - size
    sides.progress = websocket.now()
  end
end

return { new = new }
