-- What begins in a callback of ours and not in a script's function: after `open`, after `receive`,
-- in the retries of a ReconnectingWebSocket. Reports whether the instance is there.
-- Globals of the host: websocket, report(line), current_instance(). self.argument: the URL of
-- tests/peers/server.py.

local PARAMS = { timeout = 30000 } -- the machine may be busy

local function tell(self, what)
  local is_there = current_instance() == self
  report(what .. (is_there and "" or ", without its instance"))
end

local function retry(self, url)
  local options = { minDelay = 5, maxDelay = 5, timeout = 30000 }
  local socket =
    websocket.ReconnectingWebSocket(url .. "/close?code=1011&reason=again", nil, options)
  local opened = 0
  socket.onconnecting = function(event)
    tell(self, "retry: connecting " .. event.attempt)
  end
  socket.onopen = function()
    opened = opened + 1
    tell(self, "retry: open")
    if opened == 4 then
      socket:close()
    end
  end
  socket.onerror = function(event)
    tell(self, "retry: " .. event.name)
  end
  socket.onclose = function(event)
    local again = tostring(event.willReconnect)
    tell(self, ("retry: close, reconnects: %s"):format(again))
    if not event.willReconnect then
      report("finished")
      self.finished = "yes"
    end
  end
end

local function straight(self, url)
  local connection = assert(websocket.open(url .. "/echo", PARAMS))
  tell(self, "open")
  connection:send("hello")
  local message = connection:receive()
  tell(self, "got " .. message)
  local _, problem = connection:receive(20)
  tell(self, "and " .. problem)
  -- A connection that begins here has the instance, too.
  local other = assert(websocket.open(url .. "/flood?count=2&size=11", PARAMS))
  tell(self, "got " .. other:receive())
  other:disconnect(4000)
  connection:disconnect(4001, "done")
  local _, reason, code = connection:receive()
  tell(self, ("over: %d %s"):format(code, reason))
  local none, _, number = websocket.open(url .. "/reject?status=500", PARAMS)
  tell(self, ("refused: %s %s"):format(tostring(none), type(number)))
  retry(self, url)
end

function init(self)
  local url = self.argument:match("^%S+")
  coroutine.wrap(straight)(self, url)
end
