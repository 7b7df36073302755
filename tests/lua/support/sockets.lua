-- Browser-style sockets for the specs: opened, watched, and gone when the test ends.
local clock = require("support.clock")
local leaks = require("support.leaks")
local process = require("support.process")
local websocket = require("websocket")

local sockets = {}

local opened, servers = {}, {}
local descriptors

function sockets.step()
  websocket.wait(20)
end

-- Before each test.
function sockets.begin()
  descriptors = process.descriptors()
end

-- Updates until `condition` holds.
function sockets.drive(condition, what, seconds)
  clock.drive(condition, sockets.step, what, seconds)
end

-- Updates until `socket` is in that state.
function sockets.reach(socket, state)
  sockets.drive(function()
    return socket.readyState == state
  end, "readyState " .. state)
  return socket
end

-- A socket that is closed at the end of the test.
function sockets.keep(socket)
  opened[#opened + 1] = socket
  leaks.watch(socket)
  return socket
end

function sockets.connect(...)
  return sockets.keep(websocket.WebSocket(...))
end

function sockets.open(...)
  return sockets.reach(sockets.connect(...), 1)
end

local function describe_event(event)
  if event.type == "message" then
    return "message " .. event.data
  elseif event.type == "close" then
    return ("close %d %s%s"):format(event.code, event.reason, event.wasClean and "" or " unclean")
  end
  return event.type
end

-- The events of a socket from now on, each as a line: "open", "message hello", "close 1000 ".
-- The last one of a type is there under its name.
function sockets.log(socket)
  local last = {}
  local lines = setmetatable({}, { __index = last })
  for _, event_type in ipairs({ "connecting", "open", "message", "error", "close" }) do
    socket:addEventListener(event_type, function(event)
      lines[#lines + 1] = describe_event(event)
      last[event.type] = event
    end)
  end
  return lines
end

-- A log of this socket up to its "close".
function sockets.finish(socket, lines)
  if not lines then
    lines = sockets.log(socket)
    if socket.readyState == 3 then
      return lines
    end
  end
  sockets.drive(function()
    return lines.close
  end, "close")
  return lines
end

-- A WebSocketServer that is closed at the end of the test; it sends everything back.
function sockets.serve(options)
  local server = websocket.WebSocketServer(options)
  servers[#servers + 1] = server
  server.onconnection = function(socket)
    leaks.watch(socket)
    socket.onmessage = function(event)
      socket:send(event.data, event.binary and "binary")
    end
  end
  return server
end

local function is_over(list)
  for _, socket in ipairs(list) do
    if socket.readyState ~= 3 then
      return false
    end
  end
  return true
end

-- Closes everything, and waits until it is closed. A server may hear of a client only now,
-- and has to be told of its end too.
function sockets.close_all()
  for _, socket in ipairs(opened) do
    socket:destroy()
  end
  sockets.drive(function()
    return is_over(opened)
  end, "the end of all sockets")
  for _, server in ipairs(servers) do
    server:close()
  end
  opened, servers = {}, {}
  sockets.drive(function()
    return process.descriptors() <= descriptors
  end, "the end of all connections")
  websocket.onuncaughterror = nil
end

return sockets
