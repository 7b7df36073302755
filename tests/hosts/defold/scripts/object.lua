-- A browser-style object. self.argument: its URL.
function init(self)
  local socket = websocket.WebSocket(self.argument)
  report(socket.url == self.argument and "url" or socket.url)
  socket.onopen = function()
    report("open")
    socket:send("hello")
  end
  socket.onmessage = function(event)
    report("message " .. event.data .. " from " .. (event.origin:gsub("%d+$", "PORT")))
    socket:close(4000, "done")
  end
  socket.onclose = function(event)
    report(("close %d %s %s"):format(event.code, event.reason, tostring(event.wasClean)))
    self.finished = "yes"
  end
end
