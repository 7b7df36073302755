-- A server that goes away and comes back, and a ReconnectingWebSocket that waits for it. Both are
-- this instance's.
-- Globals of the host: websocket, report(line), current_instance().

local function tell(self, what)
  local is_there = current_instance() == self
  report(what .. (is_there and "" or ", without its instance"))
end

local function listen(self, port)
  self.server = assert(websocket.listen({ port = port }, function(_, connection, data)
    if data.event == websocket.EVENT_MESSAGE then
      tell(self, "server: " .. data.message)
      connection:send("You said: " .. data.message)
    end
  end))
end

function init(self)
  listen(self, 0)
  local port = self.server.port
  local options = { minDelay = 5, maxDelay = 5, timeout = 30000 }
  local socket = websocket.ReconnectingWebSocket(self.server.url, nil, options)
  self.socket = socket
  local failed, rounds = false, 0
  socket.onopen = function()
    rounds = rounds + 1
    tell(self, "open")
    socket:send("round " .. rounds)
  end
  socket.onmessage = function(event)
    tell(self, event.data)
    if rounds == 1 then
      self.server:close()
    else
      socket:close()
    end
  end
  socket.onerror = function()
    if not failed then
      failed = true
      tell(self, "nobody is there")
      listen(self, port)
    end
  end
  socket.onclose = function(event)
    if not event.willReconnect then
      tell(self, "closed for good")
      self.server:close()
      self.finished = "yes"
    end
  end
end
