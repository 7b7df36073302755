-- An instance that connects and counts. self.argument: "URL MODE"; what MODE changes stands below.
-- Of "retry" the URL is how long it waits, in milliseconds.
-- `calls` counts in the context, so that it can be asked for after the instance is gone.
_G.calls = _G.calls or 0

local PARAMS = { timeout = 30000 } -- the machine may be busy

local function on_event(self, connection, data)
  _G.calls = _G.calls + 1
  if self.deleted then
    report("a callback of a deleted instance")
  end
  if data.event == websocket.EVENT_CONNECTED then
    self.state = "open"
    if self.mode == "delete" then
      delete_instance(self)
    elseif self.mode == "raise" then
      error("on purpose")
    elseif self.mode == "echo" then
      websocket.send(connection, "1", { type = websocket.DATA_TYPE_TEXT })
    end
  elseif data.event == websocket.EVENT_MESSAGE then
    self.last = data.message
    local next = tonumber(data.message)
    if self.mode == "echo" then
      websocket.send(connection, tostring(next + 1), { type = websocket.DATA_TYPE_TEXT })
    elseif self.mode == "slow" then
      local stop = websocket.now() + 5
      while websocket.now() < stop do
      end
    end
  elseif data.event == websocket.EVENT_ERROR then
    self.problem = data.error .. " " .. data.stage
  else
    self.state = "closed " .. data.code
  end
end

function init(self)
  local url, mode = self.argument:match("^(%S+) (%S+)$")
  self.mode = mode
  if mode == "coroutine" then
    coroutine.wrap(function()
      self.connection = websocket.connect(url, PARAMS, on_event)
    end)()
  elseif mode == "own" then
    local own = { mode = "own" }
    local params = { self = own, timeout = PARAMS.timeout }
    self.connection = websocket.connect(url, params, function(given, _, data)
      if data.event == websocket.EVENT_CONNECTED then
        self.state = given == own and "own" or "another self"
      end
    end)
  elseif mode == "object" then
    local socket = websocket.WebSocket(url, nil, PARAMS)
    local function fail()
      error("on purpose")
    end
    socket.onopen = function()
      self.state = "open"
      socket:send("1")
    end
    socket.onmessage = function(event)
      self.last = event.data
      fail()
    end
    socket.onclose = function(event)
      self.state = "closed " .. event.code
    end
    self.connection = socket
  elseif mode == "open" then
    coroutine.wrap(function()
      local connection, problem = websocket.open(url, PARAMS)
      self.state = connection and "open" or problem
    end)()
  elseif mode == "retry" then
    local options = { minDelay = tonumber(url), maxDelay = 3600000, jitter = false }
    options.allowAnyPort = true
    local socket = websocket.ReconnectingWebSocket("ws://127.0.0.1:1/", nil, options)
    socket.onclose = function()
      _G.calls = _G.calls + 1
      self.state = "waiting"
    end
  else
    self.connection = websocket.connect(url, PARAMS, on_event)
  end
end

function update(self)
  if self.mode == "coroutine" then
    coroutine.wrap(function()
      websocket.update()
    end)()
  end
end

function final(self)
  self.deleted = true
  if self.connection and self.mode ~= "leave" and self.mode ~= "object" then
    websocket.disconnect(self.connection, 4001, "final")
  end
end
