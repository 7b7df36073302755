-- The programs of the tutorial, each in a process of its own: servers that print their address, and
-- clients that are typed into.
local book = require("book")
local clock = require("support.clock")

local programs = {}

local Server = {}
Server.__index = Server
local Typed = {}
Typed.__index = Typed

-- None outlives a test run that was broken off.
local BOUNDED = "exec timeout -k 1 60 "

-- Those that a test has not ended yet.
local running = {}

-- $1 is a folder, $2 the interpreter, and what follows are the server's arguments.
local SERVE = [[
cd "$1" && shift
{ timeout -k 1 60 sh -c 'echo $$; lua=$1; shift; exec $lua server.lua "$@"' sh "$@"; } 2>&1
echo exit $?
]]

-- A server of a folder, with the address that it prints.
function programs.server(folder, arguments)
  local command = ("set -- %s %s %s\n"):format(folder, book.interpreter(), arguments) .. SERVE
  local output = assert(io.popen(command, "r"))
  local server = setmetatable({ output = output, pid = output:read("*l") }, Server)
  running[server] = true
  local line = output:read("*l") or "nothing"
  server.url = assert(line:match("^listening at (.*)$"), line)
  server.port = server.url:match(":(%d+)$")
  return server
end

function Server:signal(name)
  os.execute(("kill -%s %s 2>/dev/null"):format(name, self.pid))
end

-- Waits for its end. Returns what it has printed since it listens, and its exit code.
function Server:finish()
  running[self] = nil
  local rest = self.output:read("*a")
  self.output:close()
  local said, code = rest:match("^(.*)exit (%d+)\n$")
  -- Of one that was killed the shell says so.
  return said:gsub("Killed\n$", ""), tonumber(code)
end

function Server:stop()
  self:signal("KILL")
  return self:finish()
end

-- A client of a folder, which reads what is typed.
function programs.client(folder, arguments)
  local path = os.tmpname()
  local command = ("cd %s; %s %s client.lua %s >%s 2>&1"):format(
    folder,
    BOUNDED,
    book.interpreter(),
    arguments,
    path
  )
  local input = assert(io.popen(command, "w"))
  input:setvbuf("line")
  local client = setmetatable({ input = input, path = path }, Typed)
  running[client] = true
  return client
end

function Typed:type(line)
  self.input:write(line, "\n")
end

function Typed:said()
  return book.read(self.path)
end

-- Waits until it has printed this, so many times.
function Typed:wait(text, count)
  clock.poll(function()
    local _, found = self:said():gsub(text:gsub("%W", "%%%0"), "")
    return found >= (count or 1)
  end, text .. " in\n" .. self:said())
end

-- ^D: it ends by itself. Returns what it has printed.
function Typed:finish()
  running[self] = nil
  self.input:close()
  local said = self:said()
  os.remove(self.path)
  return said
end

-- Ends what a test that failed has left.
function programs.stop_all()
  for left in pairs(running) do
    (left.stop or left.finish)(left)
  end
end

return programs
