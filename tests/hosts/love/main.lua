-- love tests/hosts/love URL FILE: opens a connection and restarts the game with it, five
-- times, then talks and quits. FILE remembers the starts, and the threads of the first one.
local websocket = require("websocket")

local RESTARTS = 5

local starts = 1
local restarting = false

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

local function on_event(_, connection, data)
  if data.event == websocket.EVENT_CONNECTED then
    if starts <= RESTARTS then
      restarting = true
      love.event.quit("restart")
    else
      connection:send("hello from LÖVE", { type = websocket.DATA_TYPE_TEXT })
    end
  elseif data.event == websocket.EVENT_MESSAGE then
    say("received", data.message)
    connection:disconnect(4000, "done")
  elseif data.event == websocket.EVENT_ERROR then
    say("error", data.stage, data.message)
  elseif not restarting then
    say("disconnected", data.code, data.reason)
    love.event.quit(data.code == 4000 and 0 or 1)
  end
end

function love.load(arguments)
  count_start(arguments[2])
  websocket.connect(arguments[1], nil, on_event)
end

function love.update()
  websocket.update()
end
