-- love tests/hosts/love URL FILE: opens a connection and restarts the game with it, five
-- times, then talks and quits. FILE remembers the starts, and the threads of the first one.
-- love tests/hosts/love URL exit: quits with an open connection.
local websocket = require("websocket")
require("websocket.love") -- events are delivered in every frame

local RESTARTS = 5

local starts = 1

local function say(...)
  io.stdout:write(table.concat({ ... }, " "), "\n")
  io.stdout:flush()
end

local function read(path)
  local file = io.open(path, "r")
  if not file then
    return ""
  end
  local text = file:read("*a")
  file:close()
  return text
end

local function threads()
  return tonumber(read("/proc/self/status"):match("Threads:%s*(%d+)"))
end

local function count_start(path)
  local before, first = read(path):match("(%d+) (%d+)")
  starts = (tonumber(before) or 0) + 1
  first = tonumber(first) or threads()
  say("start", starts)
  if threads() ~= first then
    say("there are", threads(), "threads and were", first)
  end
  local file = assert(io.open(path, "w"))
  file:write(starts, " ", first)
  file:close()
end

-- The restart finds this connection open.
local function restart_when_open(_, _, data)
  if data.event == websocket.EVENT_CONNECTED then
    love.event.quit("restart")
  elseif data.event == websocket.EVENT_ERROR then
    say("error", data.stage, data.message)
  end
end

-- In a coroutine: every wait lets the game go on.
local function talk(url)
  local connection, problem = websocket.open(url)
  if not connection then
    say("error", problem)
    love.event.quit(1)
    return
  end
  connection:send("hello from LÖVE", { type = websocket.DATA_TYPE_TEXT })
  say("received", (connection:receive()))
  connection:disconnect(4000, "done")
  local _, reason, code = connection:receive()
  say("disconnected", code, reason)
  love.event.quit(code == 4000 and 0 or 1)
end

local function quit_when_open(_, _, data)
  love.event.quit(data.event == websocket.EVENT_CONNECTED and 0 or 1)
end

function love.load(arguments)
  if arguments[2] == "exit" then
    websocket.connect(arguments[1], nil, quit_when_open)
    return
  end
  count_start(arguments[2])
  if starts <= RESTARTS then
    websocket.connect(arguments[1], nil, restart_when_open)
  else
    coroutine.wrap(talk)(arguments[1])
  end
end
