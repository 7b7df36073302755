-- For a browser's host: a browser-style object, and what it cannot do. self.argument: a URL.
function init(self)
  report(select(2, pcall(websocket.open, self.argument)))
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
