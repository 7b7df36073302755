-- Programs that the tests talk to, each on a free port, and the certificates they show.
local lfs = require("lfs")

local clock = require("support.clock")

local program = {}

local Program = {}
Program.__index = Program

local SOURCE = "tests/network/"
local DIRECTORY = lfs.currentdir() .. "/build/network/"
-- Each process has a directory of its own in it, by its number, since test runs go on side by
-- side. What ended ones left is removed.
local MAKE = [[
mkdir -p "$1"
for left in "$1"*; do
  kill -0 "${left##*/}" || rm -rf "$left"
done
rm -rf "$1$PPID" && sh "$2certificates.sh" "$1$PPID" && echo $PPID
]]
-- A program never outlives a test run that was broken off.
local BOUNDED = "exec timeout -k 1 600 "

local function output_of(command)
  local pipe = assert(io.popen(command, "r"))
  local output = pipe:read("*a")
  pipe:close()
  return output
end

local function succeeds(command)
  local status = os.execute(command .. " >/dev/null 2>&1")
  return status == true or status == 0
end

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

-- Whether a program is installed. Who goes without it must call busted's `pending`.
function program.installed(name)
  return succeeds("PATH=$PATH:/usr/sbin command -v " .. name)
end

-- Whether the system lets us have a network of our own.
function program.has_namespaces()
  return succeeds("unshare --map-root-user --net true")
end

-- Runs what follows as a user who has no process yet, and may have only so many.
function program.limited_user(processes)
  return ("setpriv --reuid=61234 --clear-groups prlimit --nproc=%d"):format(processes)
end

-- Whether the system lets us be that user, who must be able to read our files.
function program.has_limited_user()
  return succeeds(program.limited_user(1) .. " test -r lua/websocket/codes.lua")
end

-- A free port. It is none of those that the system gives to sockets that let it choose, so
-- nobody takes it meanwhile.
function program.free_port()
  local script = [[
import random, socket
while True:
    try:
        socket.socket().bind(("127.0.0.1", port := random.randrange(20000, 30000)))
        break
    except OSError:
        pass
print(port)
]]
  return tonumber(output_of("build/venv/bin/python -c " .. quote(script)))
end

local function listens(port)
  return succeeds(("bash -c '</dev/tcp/127.0.0.1/%d'"):format(port))
end

-- Starts a command and waits until it listens on the port.
local function start(command, port)
  local line = ("PATH=$PATH:/usr/sbin; { %s; } >/dev/null 2>&1 & echo $!; wait"):format(command)
  local output = assert(io.popen(BOUNDED .. "sh -c " .. quote(line), "r"))
  local started = setmetatable({ output = output, pid = output:read("*l"), port = port }, Program)
  clock.poll(function()
    return listens(port)
  end, command .. " to listen", 30)
  return started
end

program.start = start

function Program:signal(name)
  os.execute(("kill -%s %s"):format(name, self.pid))
end

function Program:stop()
  self:signal("KILL")
  self.output:close()
  if self.directory then
    succeeds("rm -r " .. self.directory)
  end
end

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

local function fill_in(name, values, directory)
  local file = assert(io.open(SOURCE .. name))
  local text = file:read("*a"):gsub("@(%u+)@", values)
  file:close()
  local path = ("%s%d-%s"):format(directory, values.PORT or values.TLS, name)
  write(path, text)
  return path
end

-- Makes the certificates anew, once for each run: some are about to expire, or have.
function program.certificates()
  if not program.made then
    local command = ("set -- %s %s; exec 2>/dev/null\n"):format(DIRECTORY, SOURCE)
    local process = output_of(command .. MAKE):match("%d+")
    program.made = DIRECTORY .. assert(process, "the certificates were not made") .. "/"
  end
  return program.made
end

-- A certificate, a key or a pin, by its file's name.
function program.path(name)
  return program.certificates() .. name
end

function program.read(name)
  local file = assert(io.open(program.path(name), "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

-- nginx with a TLS host for each certificate, in front of a WebSocket server.
function program.nginx(backend)
  local directory = program.certificates()
  local values = { DIRECTORY = directory, BACKEND = backend }
  values.TLS, values.OLD = program.free_port(), program.free_port()
  local path = fill_in("nginx.conf", values, directory)
  local command = ("exec nginx -p %s -e %snginx.log -c %s"):format(directory, directory, path)
  local nginx = start(command, values.TLS)
  nginx.old_port = values.OLD
  return nginx
end

-- Squid with these rules. It knows "user" by the password "p@ss", and a host by a name that
-- only its own hosts file has.
function program.squid(rules)
  -- Squid changes to a user of its own, who must be able to read its files.
  local directory = os.tmpname()
  os.remove(directory)
  assert(lfs.mkdir(directory))
  local names = "127.0.0.1 localhost rsa.localhost other.localhost origin.example\n"
  write(directory .. "/hosts", names)
  write(directory .. "/passwords", "user:$apr1$salt$QltwFgPIQOCPHQoQS2Ocl.\n")
  local values = { DIRECTORY = directory, PORT = program.free_port() }
  values.RULES = rules:gsub("@DIRECTORY@", directory)
  local path = fill_in("squid.conf", values, directory .. "/")
  local squid = start("exec squid -N -f " .. path, values.PORT)
  squid.directory = directory
  return squid
end

function program.microsocks(arguments)
  local port = program.free_port()
  return start(("exec microsocks -i 127.0.0.1 -p %d %s"):format(port, arguments or ""), port)
end

-- Node's https with `ws` behind it: an echo server.
function program.node_tls(name)
  local port = program.free_port()
  local files = program.path(name .. ".pem") .. " " .. program.path(name .. ".key")
  return start(("exec node %sserver_tls.mjs %d %s"):format(SOURCE, port, files), port)
end

-- OpenSSL's own server, which lets in nobody without a certificate of ours.
function program.demanding_tls(name)
  local port = program.free_port()
  local command = "exec openssl s_server -quiet -www -Verify 1 -verify_return_error -accept %d"
    .. " -cert %s -key %s -CAfile %s"
  local identity = { program.path(name .. ".pem"), program.path(name .. ".key") }
  local root = program.path("root.pem")
  return start(command:format(port, identity[1], identity[2], root), port)
end

-- A server that answers the handshake as the path says.
function program.answers()
  local output = assert(io.popen(BOUNDED .. "build/venv/bin/python tests/peers/answers.py", "r"))
  local pid, port = output:read("*l"):match("^(%d+) (%d+)$")
  return setmetatable({ output = output, pid = pid, port = tonumber(port) }, Program)
end

-- This Lua, as it was called.
local function interpreter()
  local index = 0
  while arg[index - 1] do
    index = index - 1
  end
  return arg[index]
end

local function write_script(script)
  local path = os.tmpname()
  write(path, script)
  -- Some scripts run as another user.
  os.execute("chmod 644 " .. path)
  return path
end

-- Runs a script in a new process of this Lua, and returns what it prints.
function program.lua(script, prefix)
  local path = write_script(script)
  local command = ("%s timeout 60 %s %s 2>&1"):format(prefix or "", interpreter(), path)
  local output = output_of(command)
  os.remove(path)
  return output
end

-- A server of ours in a process of its own, which sends every message back.
local function own(tls)
  local port = program.free_port()
  local path = write_script(([[
    local websocket = require("websocket")
    local params = { port = %d, timeout = 60000, tls = %s }
    assert(websocket.listen(params, function(_, connection, data)
      if data.event == websocket.EVENT_MESSAGE then
        connection:send(data.message, { type = data.type })
      end
    end))
    websocket.run()
  ]]):format(port, tls))
  local server = start(("exec %s %s"):format(interpreter(), path), port)
  os.remove(path)
  return server
end

function program.own()
  return own("nil")
end

function program.own_tls(name)
  local identity = "{ certificate = %q, key = %q }"
  return own(identity:format(program.path(name .. ".pem"), program.path(name .. ".key")))
end

return program
