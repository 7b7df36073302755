-- A script that goes through its visits one after another and reports every event, in words that
-- do not depend on where it runs. It stands on Defold's calls alone.
-- Globals of the host: websocket, report(line). self.argument: the URL of tests/peers/server.py,
-- then "NAME=PORT" for other peers.

local NAMES = {
  [websocket.EVENT_CONNECTED] = "CONNECTED",
  [websocket.EVENT_DISCONNECTED] = "DISCONNECTED",
  [websocket.EVENT_MESSAGE] = "MESSAGE",
  [websocket.EVENT_ERROR] = "ERROR",
}

local function escaped(byte)
  return ("\\%03d"):format(byte:byte())
end

local function quoted(value)
  if type(value) == "string" then
    return '"' .. value:gsub("[%c\128-\255]", escaped) .. '"'
  elseif type(value) == "table" then
    return "{status = " .. tostring(value.status) .. "}"
  end
  return tostring(value)
end

local function fields(data)
  local names = {}
  for name in pairs(data) do
    if name ~= "event" then
      names[#names + 1] = name
    end
  end
  table.sort(names)
  for i, name in ipairs(names) do
    names[i] = name .. "=" .. quoted(data[name])
  end
  return table.concat(names, " ")
end

-- What a call that must fail says. The line is the script's own.
local function refusal(call)
  local fine, message = pcall(call)
  return fine and "accepted" or (tostring(message):gsub("^.*/", ""))
end

local function refusal_of_send(connection, message, options)
  return refusal(function()
    websocket.send(connection, message, options)
  end)
end

local function send_text(connection, text)
  websocket.send(connection, text, { type = websocket.DATA_TYPE_TEXT })
end

-- Each: its path, its params, and what it does on an event.
local VISITS = {
  {
    name = "echo",
    path = "/echo",
    params = { protocol = "chat", headers = "X-Game: chess\r\n" },
    CONNECTED = function(connection)
      report("echo: protocol " .. connection.protocol .. ", state " .. connection:state())
      send_text(connection, "gr\195\188\195\159e \240\159\145\139")
    end,
    MESSAGE = function(connection, data)
      if data.type == websocket.DATA_TYPE_TEXT then
        websocket.send(connection, "\0\1\255 bytes")
      else
        websocket.disconnect(connection, 4000, "done")
        report("echo: send after disconnect " .. refusal_of_send(connection, "late"))
      end
    end,
  },
  {
    name = "nul",
    path = "/echo",
    params = { headers = { ["X-Game"] = "go" }, compression = false },
    CONNECTED = function(connection)
      send_text(connection, "before\0after")
      websocket.send(connection, "")
      send_text(connection, "")
    end,
    MESSAGE = function(connection, data)
      if data.message == "" and data.type == websocket.DATA_TYPE_TEXT then
        websocket.disconnect(connection)
      end
    end,
  },
  {
    name = "flood",
    path = "/flood?count=5&size=12",
    MESSAGE = function(connection, data)
      if data.message:find("^0*5") then
        websocket.disconnect(connection, 1000)
      end
    end,
  },
  { name = "closed", path = "/close?code=4002&reason=over%20there" },
  { name = "normal", path = "/close?code=1000&reason=bye" },
  {
    name = "dropped",
    path = "/drop",
    CONNECTED = function(connection)
      send_text(connection, "drop me")
    end,
  },
  { name = "rejected", path = "/reject?status=403" },
  {
    name = "refused",
    port = "closed",
    ERROR = function(connection)
      report("refused: in ERROR " .. connection:state())
      report("refused: send in ERROR " .. refusal_of_send(connection, "late"))
      websocket.disconnect(connection, 4000) -- nothing: the end is on its way
    end,
  },
  { name = "silent", port = "silent", params = { timeout = 1000 } },
  { name = "no time", path = "/echo", params = { timeout = 0 } },
  { name = "less than no time", path = "/echo", params = { timeout = "-5" } },
  {
    name = "left early",
    path = "/echo",
    begun = function(connection)
      report("left early: send " .. refusal_of_send(connection, "early"))
      websocket.disconnect(connection)
    end,
  },
  {
    name = "left before an answer",
    port = "silent",
    begun = function(connection)
      websocket.disconnect(connection, 4001, "changed my mind")
    end,
  },
  {
    name = "left in CONNECTED",
    path = "/observe",
    CONNECTED = function(connection)
      websocket.disconnect(connection, 4003, "see you")
      websocket.disconnect(connection, 4004) -- nothing: it was left
    end,
  },
  {
    name = "left what it sent",
    path = "/sink",
    CONNECTED = function(connection)
      for _ = 1, 20 do
        websocket.send(connection, ("x"):rep(10000))
      end
      websocket.disconnect(connection)
    end,
  },
  {
    name = "left while data comes",
    path = "/flood?count=300&size=1000",
    MESSAGE = function(connection)
      websocket.disconnect(connection, 4001, "enough")
    end,
  },
  {
    name = "left, answered late",
    port = "late",
    CONNECTED = function(connection)
      websocket.disconnect(connection, 4002)
    end,
  },
  {
    name = "left, never answered",
    port = "deaf",
    CONNECTED = function(connection)
      websocket.disconnect(connection)
    end,
  },
  {
    name = "lingers",
    port = "late",
    params = { linger = true },
    CONNECTED = function(connection)
      websocket.disconnect(connection, 4000)
      report("lingers: " .. connection:state())
    end,
  },
  {
    name = "lingers early",
    port = "silent",
    params = { linger = true },
    begun = function(connection)
      websocket.disconnect(connection, 4000, "early")
    end,
  },
  {
    name = "coerced",
    path = "/echo",
    params = { timeout = "30000", protocol = "", headers = "\n\nX-Game: chess\nX-Move: e4\n\n" },
    CONNECTED = function(connection)
      websocket.send(connection, 42, "no table")
      websocket.send(connection, 1.5, { type = "1" })
      websocket.send(connection, 7, { latest = "move" })
    end,
    MESSAGE = function(connection, data)
      if data.message == "7" then
        websocket.disconnect(connection, "4005", 17)
      end
    end,
  },
  {
    name = "no params",
    path = "/echo",
    params = "none",
    CONNECTED = function(connection)
      websocket.disconnect(connection)
    end,
  },
  { name = "bad", url = "ftp://127.0.0.1/" },
  {
    name = "misuse",
    path = "/echo",
    begun = function()
      report("misuse: " .. refusal(function()
        websocket.connect(nil, nil, print)
      end))
      report("misuse: " .. refusal(function()
        websocket.connect("ws://127.0.0.1/", nil, nil)
      end))
      for _, params in ipairs({
        { protocol = "a b" },
        { protocol = true },
        { headers = "X-One: 1\n\nX-Two: 2" },
        { headers = "X-One" },
        { headers = false },
        { timeout = "soon" },
        { delay = -1 },
        { linger = 1 },
      }) do
        report("misuse: " .. refusal(function()
          websocket.connect("ws://127.0.0.1/", params, print)
        end))
      end
      report("misuse: " .. refusal_of_send({}, "x"))
      report("misuse: " .. refusal(function()
        websocket.disconnect(nil)
      end))
    end,
    CONNECTED = function(connection)
      local text = { type = websocket.DATA_TYPE_TEXT }
      report("misuse: " .. refusal_of_send(connection, "\255", text))
      report("misuse: " .. refusal_of_send(connection, {}))
      report("misuse: " .. refusal(function()
        websocket.disconnect(connection, 99)
      end))
      report("misuse: " .. refusal(function()
        websocket.disconnect(connection, 4000, ("x"):rep(124))
      end))
      websocket.disconnect(connection, 4999, ("x"):rep(123))
    end,
  },
}

local begin

local function finish(self, visit, connection)
  report(visit.name .. ": send after the end " .. refusal_of_send(connection, "late"))
  report(visit.name .. ": state " .. connection:state())
  websocket.disconnect(connection) -- nothing
  self.visit = self.visit + 1
  begin(self)
end

local function on_event(self, connection, data)
  local visit = VISITS[self.visit]
  local name = NAMES[data.event] or "?"
  report(("%s: %s %s"):format(visit.name, name, fields(data)))
  if connection ~= self.connection or self.argument == nil then
    report(visit.name .. ": not the connection or not the instance")
  end
  if visit[name] then
    visit[name](connection, data)
  end
  if data.event == websocket.EVENT_DISCONNECTED then
    finish(self, visit, connection)
  end
end

function begin(self)
  local visit = VISITS[self.visit]
  if not visit then
    report("finished")
    self.finished = "yes"
    return
  end
  local url = self.argument:match("^%S+")
  if visit.port then
    url = "ws://127.0.0.1:" .. self.argument:match(visit.port .. "=(%d+)") .. "/"
  elseif visit.url then
    url = visit.url
  else
    url = url .. visit.path
  end
  local params = visit.params or {}
  if type(params) == "table" then
    params.timeout = params.timeout or 30000 -- the machine may be busy
  end
  self.connection = websocket.connect(url, params, on_event)
  if visit.begun then
    visit.begun(self.connection)
  end
end

function init(self)
  self.visit = 1
  begin(self)
end
