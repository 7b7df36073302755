-- io.popen, os.execute and os.tmpname for a script under Wine: as on the Linux around it, whose
-- programs are the peers. See shell.py.
local windows = require("windows")

local shell = {}

local port = tonumber(os.getenv("SHELL_PORT"))

local function bytes_of(number)
  local high, low = math.floor(number / 65536), number % 65536
  return string.char(math.floor(high / 256), high % 256, math.floor(low / 256), low % 256)
end

local function number_of(bytes)
  local first, second, third, last = bytes:byte(1, 4)
  return ((first * 256 + second) * 256 + third) * 256 + last
end

local Pipe = {}
Pipe.__index = Pipe

local function start(request)
  local connection = windows.connect(port)
  windows.send(connection, bytes_of(#request) .. request)
  return setmetatable({ connection = connection, received = "", text = "" }, Pipe)
end

function shell.popen(command)
  return start("p" .. command)
end

local function receive(pipe, count)
  while #pipe.received < count do
    local more = windows.receive(pipe.connection)
    pipe.received = pipe.received .. assert(more, "shell.py has gone")
  end
  local bytes = pipe.received:sub(1, count)
  pipe.received = pipe.received:sub(count + 1)
  return bytes
end

-- Takes one more block of the command's output. False: there is none, the command has ended.
local function fill(pipe)
  if not pipe.status then
    local length = number_of(receive(pipe, 4))
    if length > 0 then
      pipe.text = pipe.text .. receive(pipe, length)
      return true
    end
    pipe.status = number_of(receive(pipe, 4))
  end
  return false
end

local function take(pipe, count)
  local text = pipe.text:sub(1, count)
  pipe.text = pipe.text:sub(count + 1)
  return text
end

function Pipe:read(format)
  format = (format or "l"):gsub("^%*", "")
  if format == "a" then
    while fill(self) do
    end
    return take(self, #self.text)
  end
  assert(format == "l", "read(" .. format .. ") is not known here")
  while not self.text:find("\n", 1, true) and fill(self) do
  end
  if self.text == "" then
    return nil
  end
  local line = take(self, self.text:find("\n", 1, true) or #self.text)
  return (line:gsub("\n$", ""))
end

function Pipe:lines()
  return function()
    return self:read("l")
  end
end

-- What pclose and system give, in the form of this Lua's version.
local function outcome(status)
  if _VERSION == "Lua 5.1" then
    return status * 256
  end
  return status == 0 or nil, "exit", status
end

function Pipe:close()
  while fill(self) do
  end
  windows.close(self.connection)
  return outcome(self.status)
end

function shell.execute(command)
  return start("x" .. command):close()
end

-- A name both worlds know: the drive of the current directory is Linux' whole file system.
function shell.tmpname()
  local pipe = shell.popen("mktemp /tmp/websocket-XXXXXXXXXX")
  local path = pipe:read("l")
  pipe:close()
  return assert(path, "mktemp failed")
end

-- What is written here is read on Linux too: no line gets a carriage return.
local open = io.open
function shell.open(path, mode)
  mode = mode or "r"
  return open(path, mode:find("b", 1, true) and mode or mode .. "b")
end

return shell
